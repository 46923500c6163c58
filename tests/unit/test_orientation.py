"""The orientation pages (architecture, glossary, tests) say what the code says and name what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bootpress.core import errors, models
from tools import diagrams

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "bootpress"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
BEHAVIOURS = ROOT / "tests" / "README.md"


def names(path: Path) -> set[str]:
    """Return what a module defines: functions, classes, constants, and methods as `Class.method`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.ClassDef(name=name, body=body):
                methods = [one for one in body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
                found |= {name, *(f"{name}.{one.name}" for one in methods)}
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return found


def find_path(path: str) -> Path | None:
    """Return the file or folder that a page names, in the repository or in the package."""
    return next((base / path for base in (ROOT, PACKAGE) if (base / path).exists()), None)


def tree_entries(page: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the description of each line of the annotated tree."""
    (tree,) = re.findall(r"<!-- tree -->\n```text\n(.*?)```", page, re.DOTALL)
    folders: list[str] = []
    for line in tree.splitlines():
        indent, name, description = re.findall(r"^( *)(\S+) *(.*)$", line)[0]
        depth = len(indent) // 2
        folders = [*folders[:depth], name]
        yield "".join(folders), description


def table(page: Path) -> list[list[str]]:
    """Return the cells of a page's tables, without heads and rules."""
    found: list[list[str]] = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and set(cells[0]) <= {"-"}:
            found.pop()
        elif cells:
            found.append(cells)
    return found


def test_the_diagrams_are_those_of_the_code() -> None:
    """Prevents a diagram of what once was: `make diagrams` draws them anew."""
    page = ARCHITECTURE.read_text()
    assert diagrams.rewrite(page) == page


def test_every_state_machine_is_drawn_from_its_first_state_to_all_others() -> None:
    for _, machine in diagrams.state_machines():
        arrows = re.findall(r"^    (\S+) --> ([^:\s]+)", diagrams.state_diagram(machine), re.MULTILINE)
        reached = {"[*]"}
        for _ in arrows:
            reached |= {target for source, target in arrows if source in reached}
        assert {state.value for state in diagrams.states(machine)} <= reached, machine.noun
    nouns = {machine.noun for _, machine in diagrams.state_machines()}
    assert nouns >= {"build", "delivery", "publication", "saga", "webhook"}


def test_a_page_without_its_markers_is_refused() -> None:
    """Prevents a run that says it has drawn and has not."""
    with pytest.raises(ValueError, match="state diagrams"):
        diagrams.rewrite("no marker")


def test_the_tree_in_the_docstring_of_the_errors_is_that_of_the_classes() -> None:
    drawn = re.findall(r"^    (?:[│ ]*[├└]── )?([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE)
    assert drawn == [kind.__name__ for kind in diagrams.error_classes()]


def test_every_path_of_the_annotated_tree_is_there() -> None:
    entries = dict(tree_entries(ARCHITECTURE.read_text()))
    assert len(entries) > 60
    assert [path for path in entries if not (ROOT / path).exists()] == []
    assert [path for path, said in entries.items() if not said] == ["src/", "src/bootpress/"]


def test_the_annotated_tree_has_every_package() -> None:
    """Prevents a package that a reader of the page never hears of."""
    listed = {path.rstrip("/") for path, _ in tree_entries(ARCHITECTURE.read_text())}
    folders = [PACKAGE, PACKAGE / "core", PACKAGE / "adapters", PACKAGE / "entrypoints"]
    packages = [one.parent for folder in folders for one in folder.glob("*/__init__.py")]
    assert len(packages) > 20
    assert {one.relative_to(ROOT).as_posix() for one in packages} - listed == set()


@pytest.mark.parametrize("page", [ARCHITECTURE], ids=lambda path: path.name)
def test_every_function_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`([\w/]+\.py)::([\w.]+)`", page.read_text())
    assert len(named) > 20
    missing = [f"{path}::{name}" for path, name in named if not (at := find_path(path)) or name not in names(at)]
    assert missing == []


def test_the_glossary_is_in_the_order_of_the_alphabet_and_has_each_word_once() -> None:
    words = [word.casefold() for word, _, _ in table(GLOSSARY)]
    assert len(words) > 100
    assert [second for first, second in pairwise(words) if first >= second] == []


def test_every_word_of_the_glossary_names_a_module_that_is_there() -> None:
    assert [word for word, _, module in table(GLOSSARY) if find_path(module.strip("`")) is None] == []


def test_every_meaning_is_one_or_two_sentences_of_at_most_25_words() -> None:
    sentences = {
        word: re.split(r"[.;] ", meaning.partition(" *Older name*")[0]) for word, meaning, _ in table(GLOSSARY)
    }
    assert [word for word, all_of_it in sentences.items() if len(all_of_it) > 3] == []
    assert [word for word, all_of_it in sentences.items() if any(len(one.split()) > 25 for one in all_of_it)] == []


def test_an_older_name_is_one_that_the_database_has() -> None:
    """Prevents a glossary that keeps a name alive which nothing has any more."""
    tables = models.metadata.tables
    known = {*tables, *(column.name for one in tables.values() for column in one.columns)}
    older = re.findall(r"\*Older name\*[^|]*", GLOSSARY.read_text())
    named = {name for text in older for name in re.findall(r"`(\w+)`", text)}
    assert named
    assert named - known == set()


def test_every_behaviour_names_a_source_and_test_files_that_are_there() -> None:
    behaviours = [row for row in table(BEHAVIOURS) if len(row) == 3 and "/test_" in row[2]]
    assert len(behaviours) > 60
    missing = [
        path
        for _, source, tests in behaviours
        for path in re.findall(r"`([^`]+)`", f"{source} {tests}")
        if find_path(path) is None
    ]
    assert missing == []


def test_every_test_that_a_command_selects_is_there() -> None:
    """Prevents a command that runs nothing: `pytest FILE -k WORD` names a test of that file."""
    commands = re.findall(r"pytest -n0 (tests/\S+\.py)(?: -k (\w+))?`", BEHAVIOURS.read_text())
    assert commands
    for path, word in commands:
        assert any(word in name for name in names(ROOT / path) if name.startswith("test_")), path
