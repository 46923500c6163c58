"""Jobs of the embedded forge in containers of a real Docker daemon."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from bootpress.core.ports import RunStatus
from tests.support.docker_daemon import make_image, running_daemon
from tests.support.embedded_forge import DISPATCHED, REPOSITORY, EmbeddedForgeHarness, eventually, kept

IMAGE = "tests/builder:1"
PROGRAMS = ("bash", "sh", "cat", "env", "sort", "sleep", "id", "touch", "git", "git-upload-pack")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a daemon that has an image of a shell and a few programs; return its URL."""
    programs = [Path("/bin/sh"), *(Path(found) for name in PROGRAMS if (found := shutil.which(name)))]
    with running_daemon(tmp_path_factory.mktemp("docker")) as url:
        make_image(url, IMAGE, programs, entrypoint=["/bin/false"], changes=["ENV PATH=/usr/bin:/bin", "ENV MADE=here"])
        yield url


@pytest.fixture
def client(daemon: str) -> Iterator[docker.APIClient]:
    opened = docker.APIClient(base_url=daemon)
    yield opened
    opened.close()


@pytest.fixture
def running(tmp_path: Path, daemon: str) -> Iterator[EmbeddedForgeHarness]:
    with kept(EmbeddedForgeHarness(tmp_path / "forge"), docker=daemon) as embedded:
        yield embedded


def workflow(*scripts: str, image: str = IMAGE) -> str:
    listed = "".join("      - run: |\n" + "".join(f"          {line}\n" for line in s.splitlines()) for s in scripts)
    return f"{DISPATCHED}jobs:\n  build:\n    runs-on: x\n    container: {image}\n    steps:\n{listed}"


def containers(client: docker.APIClient) -> list[object]:
    return list(client.containers(all=True))


def test_a_job_runs_in_a_container_of_its_image_and_leaves_none(
    running: EmbeddedForgeHarness, client: docker.APIClient
) -> None:
    script = 'cat hello.txt\necho "made $MADE in $PATH for $(id -u), it is $A"'
    fetch = 'git fetch -q "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" "$GITHUB_SHA"'
    env = "echo B=two > $GITHUB_ENV\ntouch ~/.cache/kept\nsleep 300 &"
    running.add(
        workflow(script, fetch, env, "echo again $B").replace("jobs:", "env: {A: '${{ secrets.A }}'}\njobs:"),
        {"hello.txt": b"hello\n"},
    )
    running.forge.set_secret(REPOSITORY, "A", "a secret of the build")
    run = running.ended(running.dispatch(), seconds=60)
    log = running.log(run.id)
    assert run.conclusion == "success", log
    assert f"hello\nmade here in /usr/bin:/bin for {os.getuid()}, it is ***\n" in log
    assert "\nagain two" in log
    assert (running.places.settings(REPOSITORY) / "cache" / "kept").exists()
    eventually(lambda: containers(client) == [], what="the container is gone")


def test_a_container_ends_with_a_run_that_is_cancelled_or_killed(
    running: EmbeddedForgeHarness, client: docker.APIClient
) -> None:
    running.add(workflow("echo begun\nsleep 300"))
    ids = [running.dispatch(), running.dispatch()]
    for each in ids:
        running.says(each, "\nbegun")
    assert len(containers(client)) == 2
    running.forge.cancel_run(REPOSITORY, ids[0])
    assert running.ended(ids[0]).conclusion == "cancelled"
    os.kill(runner_of(running, ids[1]), signal.SIGKILL)
    assert running.ended(ids[1]).conclusion == "failure"
    eventually(lambda: containers(client) == [], what="both containers are gone")


def test_a_script_that_fails_or_takes_too_long_says_so(running: EmbeddedForgeHarness) -> None:
    limited = workflow("sleep 300").replace("      - run", "      - timeout-minutes: 0.01\n        run")
    running.add(workflow("exit 3"), {".gitea/workflows/slow.yml": limited.encode()})
    failed = running.ended(running.dispatch())
    assert "exit code 3" in running.log(failed.id)
    slow = running.forge.dispatch(REPOSITORY, "slow.yml", ref="main", inputs={}, dispatch_id=None)
    assert slow is not None
    assert running.ended(slow).conclusion == "failure"
    assert "took longer than its timeout-minutes" in running.log(slow)


def test_an_image_that_is_nowhere_fails_the_job_with_what_docker_says(running: EmbeddedForgeHarness) -> None:
    running.add(workflow("echo begun", image="127.0.0.1:1/none:1"))
    run = running.ended(running.dispatch())
    assert run.conclusion == "failure"
    assert "127.0.0.1:1/none:1" in running.log(run.id)
    assert "\nbegun" not in running.log(run.id)


def test_without_a_daemon_nothing_is_run(tmp_path: Path) -> None:
    embedded = EmbeddedForgeHarness(tmp_path / "forge")
    embedded.add(workflow("echo begun") + "  first: {runs-on: x, steps: [{run: echo begun}]}\n")
    for url, said in ((f"unix://{tmp_path}/no.sock", "no Docker daemon"), ("tcp://127.0.0.1:1", "on another machine")):
        with kept(embedded, docker=url):
            run = embedded.ended(embedded.dispatch())
        assert (run.status, run.conclusion) == (RunStatus.COMPLETED, "failure")
        assert "nothing was run" in embedded.log(run.id)
        assert said in embedded.log(run.id)


def runner_of(embedded: EmbeddedForgeHarness, run_id: str) -> int:
    """Return the process of a run."""
    wanted = f"\0{embedded.places.runs / run_id}\0".encode()
    found = [path for path in Path("/proc").glob("[0-9]*") if wanted in (path / "cmdline").read_bytes()]
    return int(found[0].name)
