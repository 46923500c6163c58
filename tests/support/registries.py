"""The three kinds of registry that tests run on: what they are called, what they can do, how they are reached.

`docker-registry` is Debian's; `gitea` asks for a token and lets a user's organization be the first part of a name;
`referrers` has the referrers API, keeps its content in memory and leaves a tag when its manifest is deleted by digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootpress.core.ports import RegistryConnection
from tests.support import services
from tests.support.gitea import running_gitea
from tests.support.ports import free_port
from tests.support.processes import Program, listens
from tests.support.registry import running_registry

KINDS = ("docker-registry", "gitea", "referrers")
NAMESPACE = "os"
"""The first part of every repository's name: Gitea wants it to be somebody."""


@dataclass(frozen=True, slots=True)
class RunningRegistry:
    """One that runs, and how it differs."""

    kind: str
    connection: RegistryConnection

    @property
    def host(self) -> str:
        """Return `host:port`."""
        return self.connection.host

    @property
    def has_referrers_api(self) -> bool:
        """Tell whether it lists referrers itself, so that cosign writes no fallback tag."""
        return self.kind == "referrers"

    @property
    def drops_tags(self) -> bool:
        """Tell whether a tag is gone when its manifest was deleted by digest."""
        return self.kind != "referrers"


def everywhere(fixture: str) -> pytest.MarkDecorator:
    """Run a test on all kinds; `fixture` takes the kind as its parameter, or docker-registry without one."""
    return pytest.mark.parametrize(fixture, KINDS, indirect=True)


@contextmanager
def running(kind: str, folder: Path) -> Iterator[RunningRegistry]:
    """Run a registry of a kind."""
    match kind:
        case "gitea":
            with running_gitea() as gitea:
                gitea.call("POST", "/orgs", {"username": NAMESPACE, "visibility": "private"})
                yield RunningRegistry(kind, gitea.registry)
        case "referrers":
            with _running_referrers_registry(folder) as host:
                yield RunningRegistry(kind, RegistryConnection("referrers", host))
        case _:
            with running_registry(folder) as host:
                yield RunningRegistry(kind, RegistryConnection("docker", host))


@contextmanager
def _running_referrers_registry(folder: Path) -> Iterator[str]:
    port = free_port()
    argv = [str(services.require("referrers-registry")), f"-address=127.0.0.1:{port}"]
    with Program(argv, log=folder / "registry.log") as program:
        program.wait_until(lambda: listens(port), what="the registry answers")
        yield f"127.0.0.1:{port}"
