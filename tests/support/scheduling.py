"""Test scheduling: which tests run in one process, and in which order, when several processes run them.

A fixture of session scope lives once in each process. Tests that share an expensive one are therefore one unit of
work; every other unit is a module. Long units come first, so that no process is left alone with one at the end.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

GROUPS = {
    "tests/integration/sigstore/": "sigstore",
    "tests/e2e/test_vectors.py": "sigstore",
    "tests/integration/prefect_api/": "prefect",
    "tests/flows/": "prefect",
    "tests/integration/runner_hosts/": "docker",
    "tests/integration/forges/test_local_containers.py": "docker",
    "tests/e2e/test_ci_workers.py": "docker",
    "tests/integration/forges/test_gitea": "gitea",
    "tests/integration/build_repo/": "gitea",
    "tests/integration/registry/": "registries",
}
"""The unit of a test whose node id begins so."""


def unit_of(node_id: str) -> str:
    """Return the unit of work of a test: that of its service, else its module."""
    for prefix, group in GROUPS.items():
        if node_id.startswith(prefix):
            return group
    return node_id.partition("::")[0]


class UnitScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Give a process the next unit when it is nearly done with its own."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
