"""What starts a workflow: `on:` of its file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import re2

from bootpress.adapters.forges.embedded.workflow import workflow_yaml
from bootpress.core.errors import Unsupported

DISPATCH: Final = "workflow_dispatch"
PUSH: Final = "push"
_INPUT = ("default", "deprecationMessage", "description", "options", "required", "type")
_PLAIN = re.compile(r"[^?+\[\]!\\]*")
MAX_STARS: Final = 5
"""In one pattern; matching many takes long."""


@dataclass(frozen=True, slots=True)
class Triggers:
    """What starts a workflow; events that never happen here are nobody's trouble."""

    inputs: Mapping[str, str] | None
    """Of a dispatch, with their defaults; None if it cannot be dispatched."""
    branches: Sequence[str]
    tags: Sequence[str]
    """Patterns of what, once pushed, starts it."""

    def given(self, inputs: Mapping[str, str]) -> dict[str, str]:
        """Return the declared inputs with what was given for them; what is not declared is dropped, as Gitea does."""
        return {name: inputs.get(name, default) for name, default in (self.inputs or {}).items()}

    def match(self, ref: str) -> bool:
        """Tell whether the push of a branch or tag, written in full, starts it."""
        kind, _, name = ref.removeprefix("refs/").partition("/")
        patterns = {"heads": self.branches, "tags": self.tags}.get(kind, ())
        return any(re2.fullmatch(_expression(pattern), name) for pattern in patterns)


def read(workflow: Mapping[str, Any]) -> Triggers:
    """Read `on:`; Unsupported for filters that we do not know, which must not pass for "always"."""
    written = workflow.get("on")
    if isinstance(written, str | list):
        written = dict.fromkeys(workflow_yaml.texts(written, "on"), "")
    events = workflow_yaml.mapping(written, "on")
    branches, tags = _patterns(events[PUSH]) if PUSH in events else ((), ())
    return Triggers(_inputs(events[DISPATCH]) if DISPATCH in events else None, branches, tags)


def _inputs(written: Any) -> Mapping[str, str]:
    declared = workflow_yaml.mapping(
        workflow_yaml.mapping(written, "on: workflow_dispatch", known=("inputs",)).get("inputs"),
        "on: workflow_dispatch: inputs",
    )
    found = {}
    for name, about in declared.items():
        where = f"on: workflow_dispatch: input {name[:100]}"
        found[name] = workflow_yaml.text(workflow_yaml.mapping(about, where, known=_INPUT).get("default", ""), where)
    return found


def _patterns(written: Any) -> tuple[Sequence[str], Sequence[str]]:
    filters = workflow_yaml.mapping(written, "on: push", known=("branches", "tags"))
    if not filters:
        return ["**"], ["**"]
    found = {kind: workflow_yaml.texts(patterns, f"on: push: {kind}") for kind, patterns in filters.items()}
    for pattern in (pattern for patterns in found.values() for pattern in patterns):
        if not _PLAIN.fullmatch(pattern) or len(re.findall(r"\*+", pattern)) > MAX_STARS:
            raise Unsupported(f"on: push: the pattern {pattern[:100]!r} has more in it than some * and **")
    return found.get("branches", ()), found.get("tags", ())


def _expression(pattern: str) -> str:
    """Return an expression for RE2, which never takes long: Python's holds up this whole process meanwhile."""
    parts = re.split(r"(\*{1,})", pattern)
    return "".join(".*" if "**" in part else "[^/]*" if part == "*" else re2.escape(part) for part in parts)
