"""The documents name what is there: settings, commands, operations, events, deployments, files, headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from bootpress import packaged
from bootpress.core.events.service import Kind
from bootpress.core.operation_registry import OPERATIONS, PERMISSIONS
from bootpress.core.workers.repository_settings import READ_TOKEN
from bootpress.entrypoints.cli.main import app
from bootpress.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OF_THE_COMMAND_LINE = {"BOOTPRESS_URL", "BOOTPRESS_TOKEN_FILE"}
"""Variables that `bootpress call` reads by itself: whom to call is no setting of a place."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def variables(name: str, field: FieldInfo) -> list[str]:
    """Return the environment variables of a setting."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [f"BOOTPRESS_{name.upper()}"]


def rows(text: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables of a page."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def code(text: str) -> list[str]:
    """Return what a page sets as code: spans and fenced lines, no diagrams and no comments of a shell."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    lines = [line for kind, block in fence.findall(text) if kind != "mermaid" for line in block.splitlines()]
    spans: list[str] = re.findall(r"`([^`\n]+)`", fence.sub("", text))
    return [*spans, *(line.removeprefix("$ ").partition(" #")[0] for line in lines)]


def named(page: Path, pattern: str) -> set[str]:
    """Return what a pattern's group finds in the code of a page."""
    return {found for one in code(page.read_text()) for found in re.findall(pattern, one)}


def headings(text: str) -> set[str]:
    """Return the anchors of a page's headings, as forges make them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_a_row_of_the_readme_with_its_default(name: str) -> None:
    """Prevents a setting that only its author knows, and a default that was true once."""
    field = Settings.model_fields[name]
    wanted = [f"`{variable}`" for variable in variables(name, field)]
    (row,) = [row for row in rows(README) if re.findall(r"`[A-Z_]+`", row[0]) == wanted]
    assert row[2]
    if isinstance(field.default, int | float):
        assert row[1] == f"{field.default:g}"
    elif isinstance(field.default, str):
        assert row[1] == f"`{field.default}`"


@each_page
def test_every_variable_that_a_page_names_is_read(page: Path) -> None:
    """Prevents an operator from setting what nobody looks at."""
    known = {variable for name, field in Settings.model_fields.items() for variable in variables(name, field)}
    pipelines = b"".join(packaged.build_repository().values()).decode()
    known |= {READ_TOKEN, *re.findall(r"\bPOWERNODE_[A-Z_]+\b", pipelines)}
    assert named(page, r"\b(?:BOOTPRESS|POWERNODE)_[A-Z_]+\b") - known - OF_THE_COMMAND_LINE == set()


@each_page
def test_every_make_target_that_a_page_names_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named(page, r"^make ([a-z-]+)") - targets == set()


@each_page
def test_every_command_that_a_page_names_is_there(page: Path) -> None:
    commands = {one.callback.__name__ for one in app.registered_commands if one.callback}
    assert commands
    assert named(page, r"(?:^|/)bootpress ([a-z]+)") - commands == set()


@each_page
def test_every_operation_that_a_page_names_is_in_the_catalogue(page: Path) -> None:
    called = named(page, r"bootpress (?:call|operations) ([a-z_]+)") | named(page, r"/api/v1/operations/([a-z_]+)")
    spoken = set(re.findall(r"\bsystem_[a-z_]+\b", page.read_text()))
    assert (called | spoken) - OPERATIONS.keys() == set()


@each_page
def test_every_event_and_permission_that_a_page_names_is_known(page: Path) -> None:
    # A prefix, as recent_events takes it, names none.
    spoken = set(re.findall(r"(?<!kind_prefix=)\bsystem\.[a-z_]+(?:\.[a-z_]+)?\b", page.read_text()))
    assert spoken - {str(kind) for kind in Kind} - set(PERMISSIONS) == set()


def test_the_readme_names_every_deployment_and_no_other() -> None:
    declared = set()
    for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        module, _, _ = one["entrypoint"].rpartition(".")
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        (flow,) = re.findall(r'^@flow\(name="([a-z-]+)"', source, re.MULTILINE)
        declared.add(f"`{flow}/{one['name']}`")
    assert {row[0] for row in rows(README) if "/" in row[0] and row[0].count("`") == 2 and row[0][1] != "/"} == declared


@each_page
def test_every_file_of_ours_that_a_page_names_is_there(page: Path) -> None:
    """Prevents a page that sends its reader to a module that was renamed."""
    paths = named(page, r"^((?:adapters|core|docs|flows|src|stack|surfaces|tasks|tests|tools)/[\w./-]+)$")
    assert [path for path in paths if not any((base / path).exists() for base in (ROOT, ROOT / "src/bootpress"))] == []


@each_page
def test_every_test_that_a_page_leans_on_is_there(page: Path) -> None:
    """Prevents a claim whose test was renamed or taken away."""
    missing = [
        f"{path}::{name}"
        for path, name in re.findall(r"`(tests/[\w./-]+\.py)::(\w+)`", page.read_text())
        if not (ROOT / path).exists() or f"\ndef {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []


def test_every_section_of_the_threat_model_leans_on_tests() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    sections = [one for one in text.split("\n## ") if one.startswith(("An attacker", "Another account", "Crashes"))]
    assert len(sections) == 7
    assert [one.partition("\n")[0] for one in sections if "`tests/" not in one] == []


@each_page
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text())
    missing = [
        f"{target}#{anchor}"
        for target, anchor in links
        if anchor not in headings(((page.parent / target) if target else page).read_text())
    ]
    assert missing == []


def test_the_index_of_the_documents_names_every_decision() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = sorted(path.name for path in (ROOT / "docs" / "decisions").iterdir())
    assert pages
    assert re.findall(r"\(decisions/([^)]+)\)", index) == pages


def test_every_decision_says_its_number_in_its_title() -> None:
    pages = sorted((ROOT / "docs" / "decisions").iterdir())
    numbers = [page.read_text().partition(".")[0] for page in pages]
    assert numbers == [f"# {int(page.name[:4])}" for page in pages]


def test_every_decision_has_a_status_and_a_date() -> None:
    head = re.compile(r"# \d+\. .+\n\nStatus: accepted\nDate: \d{4}-\d\d-\d\d\n\n## Context\n")
    pages = sorted((ROOT / "docs" / "decisions").iterdir())
    assert [page.name for page in pages if not head.match(page.read_text())] == []
