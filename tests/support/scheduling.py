"""Test scheduling: which tests run in one process, and in which order, when several processes run them.

A fixture of session scope lives once in each process. Tests that share an expensive one are therefore one unit of
work; every other unit is a module. Long units come first, so that no process is left alone with one at the end.
"""

from __future__ import annotations

from collections.abc import Collection

from xdist.scheduler import LoadScopeScheduling

GROUPS = {
    "tests/integration/sigstore/": "sigstore",
    "tests/integration/build_repo/test_keyless.py": "sigstore",
    "tests/e2e/test_live_services.py": "sigstore",
    "tests/integration/prefect_api/": "prefect",
    "tests/flows/": "prefect",
    "tests/integration/runner_hosts/": "docker",
    "tests/integration/forges/test_local_containers.py": "docker",
    "tests/e2e/test_ci_workers.py": "docker",
    "tests/integration/forges/test_gitea": "gitea",
    "tests/integration/build_repo/": "gitea",
    "tests/integration/registry/": "registries",
}
"""The unit of a test whose node id begins so; the first one counts."""
ALONE = {"sigstore": "sigstore"}
"""Fixtures that only one process may have, as their services hold a fixed port, and the unit of their tests."""


def unit_of(node_id: str) -> str:
    """Return the unit of work of a test: that of its service, else its module."""
    for prefix, group in GROUPS.items():
        if node_id.startswith(prefix):
            return group
    return node_id.partition("::")[0]


def misplaced(fixtures: Collection[str], node_id: str) -> str | None:
    """Return a fixture that a test uses outside its unit, or None."""
    return next((name for name, unit in ALONE.items() if name in fixtures and unit_of(node_id) != unit), None)


class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Give a process the next unit when it is nearly done with its own."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
