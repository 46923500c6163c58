"""Diagrams drawn from the code: state machines and the error tree, between markers of docs/architecture.md.

`python -m tools.diagrams` rewrites the page; a unit test fails while the page is not what this module draws.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from bootpress import core
from bootpress.core import errors
from bootpress.core.state_machine import StateMachine
from bootpress.entrypoints.api.problems import STATUSES

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
START: Final = "<!-- start of {name}: written by make diagrams -->\n"
END: Final = "<!-- end of {name} -->\n"


def state_machines() -> list[tuple[str, StateMachine[Any]]]:
    """Return every state machine of `core/*/rules.py` with the name of its module, by its noun."""
    found: dict[str, tuple[str, StateMachine[Any]]] = {}
    for package in pkgutil.iter_modules(core.__path__, f"{core.__name__}."):
        name = f"{package.name}.rules"
        if not package.ispkg or importlib.util.find_spec(name) is None:
            continue
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, StateMachine):
                found.setdefault(value.noun, (name, value))
    return [found[noun] for noun in sorted(found, key=str.casefold)]


def states(machine: StateMachine[Any]) -> type[StrEnum]:
    """Return the states of a machine; the first one is where its rows begin."""
    _, target = next(iter(machine.moves.values()))
    return type(target)


def state_diagram(machine: StateMachine[Any]) -> str:
    """Return a machine as a mermaid state diagram; moves between the same two states share an arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for name, (sources, target) in machine.moves.items():
        for source in states(machine):
            if source in sources:
                arrows.setdefault((source.value, target.value), []).append(name)
    left = {source for source, target in arrows if source != target}
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(states(machine))).value}"]
    lines += [f"    {source} --> {target}: {', '.join(names)}" for (source, target), names in arrows.items()]
    lines += [f"    {state.value} --> [*]" for state in states(machine) if state.value not in left]
    return _fenced(lines)


def error_classes(
    kind: type[errors.BootpressError] = errors.BootpressError,
) -> Iterator[type[errors.BootpressError]]:
    """Yield the classes of `core/errors.py`, each before its subclasses, in the order of the file."""
    yield kind
    for one in vars(errors).values():
        if inspect.isclass(one) and issubclass(one, errors.BootpressError) and one.__base__ is kind:
            yield from error_classes(one)


def error_tree() -> str:
    """Return the error tree as a mermaid flowchart, and a table with the answer over HTTP."""
    kinds = list(error_classes())
    lines = ["flowchart LR", *(f"    {one.__base__.__name__} --> {one.__name__}" for one in kinds[1:] if one.__base__)]
    rows = [
        f"| `{one.__name__}` | {http_status(one)} | {'yes' if one.retryable else 'no'} | {_first_line(one)} |"
        for one in kinds
    ]
    table = ["| error | HTTP status | retryable | meaning |", "|---|---|---|---|", *rows]
    return _fenced(lines) + "\n" + "\n".join(table) + "\n"


def http_status(kind: type[errors.BootpressError]) -> int:
    """Return the status that an error of this class is answered with."""
    return next((status for one, status in STATUSES if issubclass(kind, one)), 500)


def sections() -> dict[str, str]:
    """Return what stands between each pair of markers."""
    drawn = [
        f"### {machine.noun[0].upper()}{machine.noun[1:]}\n\n"
        f"Table: `{module.removeprefix('bootpress.').replace('.', '/')}.py`. {_first_line(states(machine))}\n\n"
        f"{state_diagram(machine)}"
        for module, machine in state_machines()
    ]
    return {"state diagrams": "\n".join(drawn), "error tree": error_tree()}


def rewrite(page: str) -> str:
    """Return a page with each section drawn anew; a marker that is missing or there twice is a ValueError."""
    for name, text in sections().items():
        start, end = START.format(name=name), END.format(name=name)
        pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        if len(pattern.findall(page)) != 1:
            raise ValueError(f"docs/architecture.md needs the markers of the {name} once: {start.strip()}")
        before, after = pattern.split(page)
        page = f"{before}{start}\n{text}\n{end}{after}"
    return page


def _first_line(kind: type[object]) -> str:
    text = (inspect.getdoc(kind) or "").partition("\n")[0]
    return re.sub(r" \(docs/reference/contract\.md[^)]*\)", "", text)


def _fenced(lines: list[str]) -> str:
    return "\n".join(["```mermaid", *lines, "```", ""])


if __name__ == "__main__":
    PAGE.write_text(rewrite(PAGE.read_text()))
    print(f"{PAGE.name}: state diagrams and error tree are those of the code")
