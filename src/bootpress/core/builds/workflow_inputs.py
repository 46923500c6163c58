"""What a workflow file says of itself: whether it can be dispatched, and with which inputs. Pure.

The file is an outsider's. It is never turned into objects: only the nodes of its YAML are looked at, so that no tag, no
merge and no alias in it does anything, and `on` is a word (YAML 1.1 reads it as true).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from bootpress.core.errors import Conflict, InvalidInput

MAX_BYTES = 512 * 1024
MAX_DEPTH = 50
MAX_EVENTS = 50_000
MAX_INPUTS = 100
MAX_VALUE = 16 * 1024
DISPATCH = "workflow_dispatch"
DISPATCH_ID = "dispatch_id"


@dataclass(frozen=True, slots=True)
class Input:
    """One input that a workflow declares."""

    is_required: bool = False
    has_default: bool = False
    options: tuple[str, ...] = ()
    """What a choice may be; empty for anything."""


@dataclass(frozen=True, slots=True)
class WorkflowDispatchSpec:
    """How a workflow may be started by hand; `inputs` is None where it may not."""

    inputs: Mapping[str, Input] | None


def read_declaration(source: bytes, *, name: str) -> WorkflowDispatchSpec:
    """Read a workflow file; Conflict for one that is no YAML, or more of it than any workflow needs."""
    if len(source) > MAX_BYTES:
        raise _unreadable(name, f"it has {len(source)} bytes; at most {MAX_BYTES} are read")
    try:
        _check_bounds(source, name)
        root = yaml.compose(source, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeError, ValueError) as error:
        raise _unreadable(name, str(error).replace("\n", " ")[:300]) from error
    triggers = _members(root).get("on")
    if isinstance(triggers, yaml.MappingNode):
        dispatch = _members(triggers)
        return WorkflowDispatchSpec(_inputs(dispatch[DISPATCH]) if DISPATCH in dispatch else None)
    listed = triggers.value if isinstance(triggers, yaml.SequenceNode) else [triggers]
    return WorkflowDispatchSpec({} if any(_text(one) == DISPATCH for one in listed) else None)


def check_inputs(declared: Mapping[str, Input], given: Mapping[str, str], *, workflow: str) -> None:
    """Refuse what the workflow does not declare, what it misses, and what is no option of a choice, by name."""
    accepted = ", ".join(sorted(declared.keys() - {DISPATCH_ID})) or "none"
    for name, value in given.items():
        field = f"inputs.{name[:100]}"
        if name == DISPATCH_ID:
            raise InvalidInput(
                f"field {field}: it is ours to say", hint="leave it away: every dispatch gets its own", field=field
            )
        if name not in declared:
            raise InvalidInput(
                f"unknown input {name[:100]!r}: {workflow} does not declare it",
                hint=f"accepted: {accepted}; a forge would drop it in silence",
                field=field,
            )
        options = declared[name].options
        if options and value not in options:
            raise InvalidInput(
                f"field {field}: {value[:100]!r} is no option of {workflow}",
                hint=f"options: {', '.join(options)}"[:1000],
                field=field,
            )
    for name, one in declared.items():
        if one.is_required and not one.has_default and not given.get(name) and name != DISPATCH_ID:
            raise InvalidInput(
                f"input {name!r} is missing: {workflow} requires it",
                hint=f"accepted: {accepted}",
                field=f"inputs.{name}",
            )


def _unreadable(name: str, reason: str) -> Conflict:
    return Conflict(f"the workflow file {name} cannot be read: {reason}", hint="mend it in the repository")


def _check_bounds(source: bytes, name: str) -> None:
    # Before anything is built of it: the parser keeps no tree, and what follows descends as deep as the file does.
    depth = 0
    for count, event in enumerate(yaml.parse(source, Loader=yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or count > MAX_EVENTS:
            raise _unreadable(name, "it is nested too deeply" if depth > MAX_DEPTH else "it has too many values")
        if isinstance(event, yaml.ScalarEvent):
            event.value.encode()  # an escape can write half a character, which no answer of ours could hold


def _members(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _inputs(dispatch: yaml.Node) -> dict[str, Input]:
    declared = _members(_members(dispatch).get("inputs"))
    return {name: _input(node) for name, node in list(declared.items())[:MAX_INPUTS]}


def _input(node: yaml.Node) -> Input:
    said = _members(node)
    options = said.get("options")
    return Input(
        is_required=_text(said.get("required")).lower() == "true",
        has_default=_text(said.get("default")) != "",
        options=tuple(_text(one) for one in options.value) if isinstance(options, yaml.SequenceNode) else (),
    )
