"""From a dispatch to the id of its run, beside Gitea's own answer to the same dispatch, asked for in turn.

1.26 says the id in its answer, and what we add is a look at whether the repository can run it at all. 1.25 does not say
it: there we look before and after.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from benchmarks.table import Measured, share
from bootpress.adapters.forges.gitea import GiteaForge
from bootpress.core.ports import GitRepository
from tests.support.gitea import Gitea, running_gitea

ROUNDS = 60
WARM_UP = 5
BAR = 2
FILE = "build.yml"
WORKFLOW = b"""on: {workflow_dispatch: {inputs: {dispatch_id: {type: string}}}}
jobs: {build: {runs-on: disk-image-builder, steps: [{run: "true"}]}}
"""


def measure(_: Path) -> list[Measured]:
    """Measure on both versions."""
    with running_gitea("126") as gitea:
        ours, theirs = _measure(gitea)
        told = share("dispatch → run id, Gitea 1.26", ours, theirs, beside="Gitea's own answer", bar=BAR)
    with running_gitea("125") as gitea:
        ours, theirs = _measure(gitea)
    return [told, share("the same on 1.25, which does not say it", ours, theirs, beside="Gitea's own answer")]


def _measure(gitea: Gitea) -> tuple[float, float]:
    forge, repository = GiteaForge(gitea.url, gitea.token), GitRepository(gitea.user, "images")
    forge.create_repository(repository)
    forge.add_files(repository, {f".gitea/workflows/{FILE}": WORKFLOW}, message="Begin")
    path = f"{gitea.url}/api/v1/repos/{repository}/actions/workflows/{FILE}/dispatches?return_run_details=true"

    def ours(dispatch_id: str) -> None:
        run_id = forge.dispatch(
            repository, FILE, ref="main", inputs={"dispatch_id": dispatch_id}, dispatch_id=dispatch_id
        )
        if run_id is None:
            raise AssertionError("a dispatch was not told its run")

    with httpx.Client(headers={"authorization": f"token {gitea.token}"}, trust_env=False, timeout=30) as client:

        def theirs(dispatch_id: str) -> None:
            body = {"ref": "refs/heads/main", "inputs": {"dispatch_id": dispatch_id}}
            client.post(path, json=body).raise_for_status()

        taken = [(_time(ours, number), _time(theirs, number)) for number in range(WARM_UP + ROUNDS)][WARM_UP:]
    here, there = zip(*taken, strict=True)
    return statistics.median(here), statistics.median(there)


def _time(act: Callable[[str], None], number: int) -> float:
    begun = time.perf_counter()
    act(f"bench-{number}")
    return time.perf_counter() - begun
