"""Conventions that no linter expresses; each check names the bug that it prevents."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("src", "flows", "tasks", "blocks")
PAGES_ELSEWHERE = {
    *("config.md", "descriptor.md", "image-index.md", "image-layout.md", "manifest.md"),  # OCI's image-spec
    "docs/oid-info.md",  # Fulcio
    "protocol.md",  # DSSE
}
"""Pages of specifications, as docstrings and comments cite them beside the name of the specification."""


def tracked_files() -> list[Path]:
    """Return the files of the project, those included that are not committed yet."""
    listing = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is wherever PATH says
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


FILES = tracked_files()
PYTHON = [path for path in FILES if path.suffix == ".py"]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield the Python files below these folders of the project, parsed."""
    for path in PYTHON:
        name = relative(path)
        if name.startswith(tuple(f"{folder}/" for folder in folders)):
            yield name, ast.parse(path.read_text(), filename=name)


def attribute(node: ast.AST) -> str:
    """Return `os.environ` for that expression, an empty text for what is no dotted name."""
    if isinstance(node, ast.Attribute):
        return f"{attribute(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def prose(path: Path) -> Iterator[str]:
    """Yield the docstrings and comments of a Python file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    with tokenize.open(path) as file:
        yield from (token.string for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.COMMENT)


def test_no_module_is_named_after_one_of_the_standard_library() -> None:
    """Prevents `import queue` finding ours: a folder on sys.path shadows the standard library for every dependency."""
    names = {path: path.parent.name if path.name == "__init__.py" else path.stem for path in PYTHON}
    assert [relative(path) for path, name in names.items() if name in sys.stdlib_module_names] == []


def test_every_folder_with_python_in_it_is_a_package() -> None:
    """Prevents a folder tests/flows without __init__.py being imported as `flows`."""
    folders = {path.parent for path in PYTHON} - {ROOT, ROOT / "docs"}
    assert [relative(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


@pytest.mark.slow
def test_tests_are_skipped_for_missing_parts_only() -> None:
    """Prevents a test that CI believes in and never runs."""
    forbidden = re.compile(r"(pytest|mark|pytest\.mark)\.(skip|skipif|xfail|importorskip)")
    found = {
        name
        for name, tree in modules("tests")
        for node in ast.walk(tree)
        if forbidden.fullmatch(attribute(node)) and name != "tests/support/services.py"
    }
    assert found == set()


def test_the_environment_is_read_where_settings_are_made() -> None:
    """Prevents a setting that only its reader knows: undocumented, untyped, read at a moment of its own."""
    # PREFECT_* are Prefect's own settings; the orchestrator adapter is where they are understood.
    allowed = ("src/bootpress/settings.py", "src/bootpress/stack/", "src/bootpress/adapters/prefect_api/")
    found = {
        name
        for name, tree in modules(*PRODUCT)
        for node in ast.walk(tree)
        if attribute(node) in {"os.environ", "os.getenv", "os.environb"} and not name.startswith(allowed)
    }
    assert found == set()


def test_transactions_are_committed_in_one_place() -> None:
    """Prevents half a use case in the database: what is committed early stays when the rest of it fails."""
    found = [
        name
        for name, tree in modules(*PRODUCT)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit"
    ]
    assert found in ([], ["src/bootpress/core/database.py"])


@pytest.mark.slow
def test_nothing_changes_where_python_looks_for_modules() -> None:
    """Prevents code that works in a checkout and not from the wheel."""
    found = [name for name, tree in modules(*PRODUCT, "tests", "tools") if "sys.path" in map(attribute, ast.walk(tree))]
    assert found == []


def test_every_silenced_check_says_why() -> None:
    """Prevents an exception from outliving its reason: `# noqa: CODE - reason`, `# type: ignore[code]  # reason`."""
    silenced = re.compile(r"# (noqa|type: ignore)\b(?P<rest>.*)")
    reasoned = re.compile(r"(: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)* - \S.*|\[[a-z-]+(, ?[a-z-]+)*\]  # \S.*)")
    found = [
        f"{relative(path)}:{number}"
        for path in PYTHON
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if (match := silenced.search(line)) and path != Path(__file__) and not reasoned.fullmatch(match["rest"])
    ]
    assert found == []


def test_no_file_names_a_folder_of_one_machine_or_the_host_of_a_package_index() -> None:
    """Prevents a set-up that works on the machine it was written on, or past the index that its user configured."""
    pattern = re.compile(r"(?<![\w.])/(work|root|home/[a-z]+)/|\b(pypi\.org|pythonhosted\.org|proxy\.golang\.org)\b")
    found = []
    for path in FILES:
        if path.name in {"uv.lock", Path(__file__).name} or b"\0" in (content := path.read_bytes()):
            continue
        lines = content.decode(errors="replace").splitlines()
        found += [f"{relative(path)}:{number}" for number, line in enumerate(lines, start=1) if pattern.search(line)]
    assert found == []


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".md"], ids=relative)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    """Prevents a page that sends its reader to a file that was moved."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert [target for target in local if not (path.parent / target).exists()] == []


def test_every_page_that_a_docstring_or_comment_names_is_there() -> None:
    """Prevents a reader from being sent to a page that he cannot open."""
    named = {
        page
        for path in PYTHON
        if ".md" in path.read_text()
        for text in prose(path)
        for page in re.findall(r"[\w./-]*\w\.md\b", text)
    }
    ours = {relative(path) for path in FILES}
    assert "docs/reference/contract.md" in named
    assert named - ours == PAGES_ELSEWHERE


def test_decisions_are_numbered_without_gaps() -> None:
    """Prevents two pages that are both called decision 4."""
    pages = sorted(path.name for path in FILES if relative(path.parent) == "docs/decisions")
    numbers = [int(match[1]) for page in pages if (match := re.match(r"(\d{4})-[a-z0-9-]+\.md$", page))]
    assert numbers == list(range(1, len(pages) + 1))
