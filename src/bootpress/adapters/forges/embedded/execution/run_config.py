"""What a run's process is told by the one that starts it: over a pipe, since there are secrets in it."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

RUN_SECONDS: Final = 6 * 3600.0
WAIT_HOURS: Final = 24.0
WAIT_HOURS_WITHOUT_WORKER: Final = 1.0
LOG_BYTES: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How long a run may wait and take, and how much each of its jobs may print."""

    run_seconds: float = RUN_SECONDS
    log_bytes: int = LOG_BYTES
    wait_hours: float = WAIT_HOURS
    """For its turn."""
    wait_hours_without_worker: float = WAIT_HOURS_WITHOUT_WORKER
    """Where its repository has none; no longer than for its turn."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a run needs besides its folder; the pipe stays open for as long as its owner lives."""

    forge_url: str
    variables: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    cache: str
    """Folder of the repository that outlives its runs; `~/.cache` of every job."""
    host: Mapping[str, str]
    """What jobs get of this machine's environment."""
    docker: str
    """URL of the Docker daemon, for jobs in containers."""
    run_seconds: float = RUN_SECONDS
    log_bytes: int = LOG_BYTES

    def encode(self) -> bytes:
        """Return the line to be sent."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def receive(cls, pipe: int) -> RunConfig:
        """Read the line from a pipe; EOFError if its owner died meanwhile."""
        line = b""
        while not line.endswith(b"\n"):
            if not (piece := os.read(pipe, 1 << 16)):
                raise EOFError
            line += piece
        return cls(**json.loads(line))


def wait_for_end(pipe: int) -> None:
    """Return once nobody holds the other end of a pipe any more.

    It is read past Python's buffers: a thread that waits in one keeps the interpreter from ending.
    """
    while os.read(pipe, 1 << 16):
        pass


def host_environment() -> dict[str, str]:
    """Return what a job may know of this machine: where programs are, and which proxies lead out. Nothing of ours."""
    found = {"PATH": os.pathsep.join(os.get_exec_path()), "LANG": "C.UTF-8"}
    for kind, url in urllib.request.getproxies_environment().items():
        name = f"{kind}_proxy"
        found |= {name: url, name.upper(): url}
    return found
