"""Runners on this machine that take jobs of a real Gitea."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import gitea_runner, services
from tests.support.gitea import Gitea
from tests.support.processes import Program

PROGRAM = Path(gitea_runner.__file__)
LABELS = ("disk-image-builder", "amd64")


@contextmanager
def running_runner(
    gitea: Gitea,
    repository: str,
    folder: Path,
    *,
    name: str = "builder",
    labels: Sequence[str] = LABELS,
    path: Sequence[Path] = (),
    env: Mapping[str, str] | None = None,
    capacity: int = 1,
) -> Iterator[Program]:
    """Register a runner for a repository (`owner/name`) and run it; jobs find programs in `path` first, and `env`."""
    act = services.require("act")
    folder.mkdir(parents=True, exist_ok=True)
    token = gitea.call("POST", f"/repos/{repository}/actions/runners/registration-token")["token"]
    register = ["register", f"--instance={gitea.url}", f"--token={token}", f"--name={name}"]
    subprocess.run(
        [sys.executable, PROGRAM, *register, f"--labels={','.join(labels)}"],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=60,
    )
    with running_daemon(folder, act, path=path, env=env, capacity=capacity) as program:
        yield program


@contextmanager
def running_daemon(
    folder: Path, act: Path, *, path: Sequence[Path] = (), env: Mapping[str, str] | None = None, capacity: int = 1
) -> Iterator[Program]:
    """Run the runner that is registered in a folder."""
    environment = {
        "PATH": os.pathsep.join([*(str(one) for one in path), os.environ["PATH"]]),
        "HOME": str(folder),
        **{f"RUNNER_ENV_{name}": value for name, value in (env or {}).items()},
    }
    argv = [sys.executable, str(PROGRAM), "daemon", f"--act={act}", f"--capacity={capacity}"]
    with Program(argv, log=folder / "runner.log", env=environment, cwd=folder) as program:
        program.wait_until(lambda: "takes jobs" in program.output, what="the runner takes jobs")
        yield program
