"""Hosts on which runners of a forge run as containers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RunnerSpec:
    """A runner to run: what it registers with, and as what."""

    worker_id: UUID
    name: str
    image: str
    forge_url: str
    registration_token: str = field(repr=False)
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostInfo:
    """What a Docker host says of itself."""

    version: str
    arch: str
    """As Go names architectures: amd64, arm64."""


@dataclass(frozen=True, slots=True)
class Container:
    """A runner's container."""

    id: str
    is_new: bool
    """False for one that was there already."""


class RunnerHost(Protocol):
    """A Docker host. Raises RunnerHostUnavailable while it does not answer, RunnerHostRefused for what it refuses."""

    def check(self) -> HostInfo:
        """Make sure by a call that changes nothing that the host answers us."""

    def start(self, spec: RunnerSpec) -> Container:
        """Run a runner's container, restarted on failure.

        One that is there for this worker and runs as asked is kept; one that was made otherwise is replaced.
        """

    def clear_registration_token(self, container_id: str) -> None:
        """Take the registration token from a container that has registered; an absent container has none."""

    def is_running(self, container_id: str) -> bool:
        """Tell whether a container runs; an absent one does not, nor does one between a failure and its restart."""

    def logs(self, container_id: str, *, lines: int) -> Sequence[str]:
        """Return the end of what a container said, at most 64 KiB; an absent one said nothing."""

    def remove(self, worker_id: UUID) -> None:
        """Stop and remove a worker's container; an absent one is removed."""


class RunnerHostFactory(Protocol):
    """Open Docker hosts."""

    def open(self, url: str | None) -> RunnerHost:
        """Return a host by the URL of its Docker daemon; None is this machine's. InvalidInput for what is no URL."""
