"""An embedded forge in a folder of a test."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from cryptography.fernet import Fernet

from bootpress.adapters.forges.embedded import ForgeLayout, LocalForge, RunLimits, RunScheduler
from bootpress.core.encryption import SecretCipher
from bootpress.core.ports import GitRepository, Job, RunStatus, WorkflowRun

REPOSITORY = GitRepository("keeper", "disk-images")
FILE = "build.yml"
DISPATCHED = "on: {workflow_dispatch: {inputs: {slug: {default: none}, dispatch_id: {type: string}}}}\n"
NO_DOCKER = "unix:///nowhere/docker.sock"
Found = TypeVar("Found")


def eventually(look: Callable[[], Found], *, what: str, seconds: float = 30.0) -> Found:
    """Return the first true answer."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


class EmbeddedForgeHarness:
    """A forge with one repository, and how tests look at it."""

    def __init__(self, folder: Path, *, box: SecretCipher | None = None) -> None:
        self.places = ForgeLayout(folder)
        self.key = Fernet.generate_key().decode()
        self.box = box or SecretCipher([self.key])
        self.forge = LocalForge(folder, self.box)

    def keeper(self, *, bounds: RunLimits | None = None, docker: str = NO_DOCKER) -> RunScheduler:
        """Return what runs the runs, not started."""
        return RunScheduler(self.places, self.box, bounds=bounds, docker=docker)

    def clone(self, into: Path) -> Path:
        """Clone the repository."""
        self.git("clone", "--quiet", str(self.places.repository(REPOSITORY)), str(into))
        return into

    def git(self, *words: str, cwd: Path | None = None) -> str:
        """Run git as somebody who works with the repository."""
        who = {f"GIT_{role}_{what}": "dev@host" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        environment = {**who, "PATH": os.environ["PATH"], "HOME": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(["git", *words], cwd=cwd, env=environment, check=True, capture_output=True, text=True)  # noqa: S607 - git is wherever PATH says
        return done.stdout

    def add(self, workflow: str, files: Mapping[str, bytes] | None = None) -> None:
        """Create the repository with a workflow file."""
        self.forge.create_repository(REPOSITORY)
        content = {f".gitea/workflows/{FILE}": workflow.encode(), **(files or {})}
        self.forge.add_files(REPOSITORY, content, message="Begin")

    def dispatch(self, inputs: Mapping[str, str] | None = None) -> str:
        """Dispatch the workflow."""
        run_id = self.forge.dispatch(REPOSITORY, FILE, ref="main", inputs=inputs or {}, dispatch_id=None)
        assert run_id is not None
        return run_id

    def run(self, run_id: str) -> WorkflowRun:
        """Return a run that is there."""
        found = self.forge.find_run(REPOSITORY, run_id)
        assert found is not None
        return found

    def ended(self, run_id: str, *, seconds: float = 30.0) -> WorkflowRun:
        """Wait for the end of a run."""
        eventually(lambda: self.run(run_id).status is RunStatus.COMPLETED, what=f"the end of {run_id}", seconds=seconds)
        return self.run(run_id)

    def jobs(self, run_id: str) -> dict[str, Job]:
        """Return the jobs of a run by their names."""
        return {job.name: job for job in self.forge.list_jobs(REPOSITORY, run_id)}

    def log(self, run_id: str, job: int = 0) -> str:
        """Return a whole log, without the moments at the beginning of its lines."""
        with self.forge.open_log(REPOSITORY, f"{run_id}-{job}") as pieces:
            lines = b"".join(pieces).decode(errors="replace").splitlines()
        return "\n".join(line.partition(" ")[2] for line in lines)

    def says(self, run_id: str, text: str) -> None:
        """Wait until a run's log has a text in it."""
        eventually(lambda: text in self.log(run_id), what=f"{text!r} in the log of {run_id}")


@contextmanager
def kept(
    embedded: EmbeddedForgeHarness, *, bounds: RunLimits | None = None, docker: str = NO_DOCKER
) -> Iterator[EmbeddedForgeHarness]:
    """Run the runs of a forge while the block lasts; their processes have nothing to say but in the logs."""
    with embedded.keeper(bounds=bounds, docker=docker):
        yield embedded
    assert [path.read_text() for path in embedded.places.runs.glob("*/runner.log") if path.stat().st_size] == []
