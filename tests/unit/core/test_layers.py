"""Rules are pure: no table, no session, no clock is reachable from what decides."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bootpress.core

CORE = Path(bootpress.core.__file__).parent
PURE = [*CORE.glob("*/rules.py"), *CORE.glob("*/states.py"), CORE / "references.py", CORE / "state_machine.py"]


@pytest.mark.parametrize("path", PURE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_rule_imports_no_table_and_asks_no_clock(path: Path) -> None:
    """Prevents a decision that depends on what somebody else wrote meanwhile."""
    tree = ast.parse(path.read_text())
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    forbidden = ("sqlalchemy", "bootpress.core.database", "bootpress.core.context", "bootpress.settings")
    assert [name for name in imported if name.startswith(forbidden) or name.endswith((".models", ".service"))] == []
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"now", "utcnow", "today", "monotonic"}
