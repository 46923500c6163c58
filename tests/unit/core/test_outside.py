"""Operations that ask outside servers say so in the catalogue, as the code that they reach says."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest

from bootpress.core.operation import Operation
from bootpress.core.operation_registry import OPERATIONS
from bootpress.entrypoints.console import views

PORTS = {"registries", "forges", "runner_hosts"}
"""Ports whose `open` leads to somebody else's server."""
WAITING = "callers_waiting"
"""What a caller takes who waits for a flow that asks outside servers."""


def reaches_outside(handler: Any) -> bool:
    """Tell whether a function of the core, or any that it names, opens an outside server or waits for a flow."""
    seen: set[int] = set()
    left = [handler]
    while left:
        found = left.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        tree = ast.parse(textwrap.dedent(inspect.getsource(found)))
        if any(asks(node) for node in ast.walk(tree)):
            return True
        left += named(tree, vars(sys.modules[found.__module__]))
    return False


def asks(node: ast.AST) -> bool:
    """Tell whether a node is `….registries.open` or the like, or takes a place among those who wait for flows."""
    if not isinstance(node, ast.Attribute):
        return False
    if node.attr == WAITING:
        return True
    return node.attr == "open" and isinstance(node.value, ast.Attribute) and node.value.attr in PORTS


def named(tree: ast.AST, names: dict[str, Any]) -> Iterator[Any]:
    """Yield the functions and classes of the core that a piece of code names."""
    for node in ast.walk(tree):
        found: Any = None
        if isinstance(node, ast.Name):
            found = names.get(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = names.get(node.value.id)
            found = vars(module).get(node.attr) if isinstance(module, ModuleType) else None
        if isinstance(found, Operation):
            found = found.handler
        if isinstance(found, FunctionType | type) and found.__module__.startswith("bootpress.core."):
            yield found


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_reaches_an_outside_server_says_so(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation.asks_outside == reaches_outside(operation.handler)


def test_operations_of_every_port_are_told_from_others() -> None:
    outside = {name for name, operation in OPERATIONS.items() if operation.asks_outside}
    assert {"system_connect_registry", "dispatch_gitea_workflow", "system_provision_ci_worker"} <= outside
    assert not {"system_list_node_platforms", "system_list_connections", "recent_events"} & outside


def test_no_page_of_the_console_asks_an_outside_server() -> None:
    asked = [value for value in vars(views).values() if isinstance(value, Operation)]
    assert asked
    assert not any(operation.asks_outside for operation in asked)
