"""A runner in a container of a real Docker daemon, for a repository of a real Gitea, by a real worker of Prefect."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest

from tests.support import services
from tests.support.docker_daemon import running_daemon
from tests.support.gitea import Gitea, running_gitea
from tests.support.processes import wait_for
from tests.support.runner_image import make_runner_image
from tests.support.running_stack import Stack, running_stack
from tests.support.secret_search import Search, files_below, prefects_answers

pytestmark = [
    pytest.mark.part("gitea126"),
    pytest.mark.part("docker"),
    pytest.mark.part("docker-registry"),
    pytest.mark.part("act"),
    pytest.mark.timeout(300),
]
IMAGE = "tests/act_runner:1"
LABEL = "ubuntu-2404-amd64-builder"
WORKFLOW = """
on: workflow_dispatch
jobs:
  hello:
    runs-on: disk-image-builder
    steps:
      - run: echo "built in a container by $(cat /etc/hostname)"
"""


@dataclass(frozen=True, slots=True)
class LiveGitea:
    """A stack with a Gitea and a Docker daemon, and a build repository that is set up."""

    stack: Stack
    gitea: Gitea
    docker: docker.APIClient
    docker_url: str
    repo: str
    registration_token: str

    def runners(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.gitea.call("GET", f"/repos/{self.repo}/actions/runners")["runners"]
        return found

    def containers(self) -> list[str]:
        return [one["Id"] for one in self.docker.containers(all=True)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGitea]:
    services.require("docker-registry")
    act, git, bash = services.require("act"), services.require("git"), Path("/bin/bash")
    helper = Path("/usr/lib/git-core/git-remote-http")
    folder = tmp_path_factory.mktemp("workers")
    with ExitStack() as running:
        url = running.enter_context(running_daemon(folder / "docker"))
        make_runner_image(
            url, IMAGE, programs=[act, git, helper, bash, Path("/bin/cat")], environment={"ACT": str(act)}
        )
        client = docker.APIClient(base_url=url)
        running.callback(client.close)
        gitea = running.enter_context(running_gitea())
        environment = {"DOCKER_HOST": url, "BOOTPRESS_RUNNER_IMAGE": IMAGE}
        stack = running.enter_context(running_stack(folder / "home", environment))
        stack.call("system_connect_forge", kind="gitea", url=gitea.url, token=gitea.token)
        made = stack.call("bootstrap_disk_image_ci", owner=gitea.user, repo="disk-images", label=LABEL)
        yield LiveGitea(stack, gitea, client, url, f"{gitea.user}/disk-images", made["ci_worker_token"])


def test_what_docker_refuses_is_told_and_leaves_the_worker_as_it_was(place: LiveGitea) -> None:
    before = place.stack.call("system_list_ci_workers")
    name = f"bootpress-runner-{before['workers'][0]['id']}"
    taken = place.docker.create_container(IMAGE, name=name)["Id"]
    try:
        with pytest.raises(AssertionError, match=r"already in use.*in the way") as caught:
            place.stack.call("system_provision_ci_worker", name=LABEL)
        assert '"status":502' in str(caught.value).replace(" ", "")
        assert place.containers() == [taken]
    finally:
        place.docker.remove_container(taken, v=True)
    assert place.stack.call("system_list_ci_workers") == before


def test_a_runner_is_provisioned_takes_a_job_and_is_terminated(place: LiveGitea) -> None:
    stack = place.stack
    answer = stack.call("system_provision_ci_worker", name=LABEL)
    worker = answer["worker"]
    assert (answer["action"], worker["name"], worker["status"]) == ("created", LABEL, "online")
    assert "Prefect's API" in answer["warnings"][0]
    assert place.containers() == [answer["container_id"]]
    [runner] = place.runners()
    assert (runner["name"], runner["status"]) == (LABEL, "online")
    assert [label["name"] for label in runner["labels"]] == ["disk-image-builder", "amd64"]
    [listed] = stack.call("system_list_ci_workers")["workers"]
    assert (listed["id"], listed["status"]) == (worker["id"], "online")

    again = stack.call("system_provision_ci_worker", name=LABEL)
    assert (again["action"], again["container_id"]) == ("kept", answer["container_id"])

    put_workflow(place)
    run_id = stack.call("dispatch_gitea_workflow", repo=place.repo, workflow="hello.yml", ref="main", inputs={})[
        "run_id"
    ]
    wait_for(lambda: run_of(place, run_id)["run"]["status"] == "completed", what="the job is done", seconds=90)
    found = run_of(place, run_id)
    log = stack.call("get_gitea_job_logs", repo=place.repo, job_id=found["jobs"][0]["id"])["logs"]
    assert found["run"]["conclusion"] == "success", log
    assert "built in a container by" in log

    assert {("ok", "forge"), ("ok", "runners")} <= doctor_says(place)
    assert_nowhere(place, place.registration_token)
    gone = stack.call("system_terminate_ci_worker", id=worker["id"])
    assert gone["worker"]["status"] == "revoked"
    assert (gone["runners_deregistered"], gone["container_removed"]) == ([LABEL], True)
    assert (place.runners(), place.containers()) == ([], [])
    assert not place.docker.volumes()["Volumes"]
    assert stack.call("system_list_ci_workers")["workers"][0]["status"] == "revoked"
    repeated = stack.call("system_terminate_ci_worker", id=worker["id"])
    assert (repeated["worker"]["status"], repeated["flow_run_id"]) == ("revoked", None)


def doctor_says(place: LiveGitea) -> set[tuple[str, str]]:
    """Return how things are, by the first two words of each line."""
    words = [sys.executable, "-m", "bootpress", "doctor", "--home", str(place.stack.home)]
    environment = os.environ | {"DOCKER_HOST": place.docker_url}
    told = subprocess.run(words, env=environment, check=False, capture_output=True, text=True, timeout=60)
    lines = [line.split() for line in told.stdout.splitlines()]
    return {(line[0], line[1]) for line in lines}


def put_workflow(place: LiveGitea) -> None:
    content = base64.b64encode(WORKFLOW.encode()).decode()
    path = f"/repos/{place.repo}/contents/.gitea/workflows/hello.yml"
    place.gitea.call("POST", path, {"content": content, "message": "Greet", "branch": "main"})


def run_of(place: LiveGitea, run_id: str) -> dict[str, Any]:
    return place.stack.call("get_gitea_workflow_run", repo=place.repo, run_id=run_id)


def assert_nowhere(place: LiveGitea, token: str) -> None:
    """The registration token is in no file of ours, and in nothing that Prefect tells or that Docker shows or keeps."""
    search = Search({"registration token": token})
    found = [str(path) for path, content in files_below(place.stack.home) if list(search.within(content))]
    with httpx.Client(base_url=place.stack.prefect_api, auth=place.stack.prefect_auth, timeout=60) as prefect:
        told = list(prefects_answers(prefect))
    assert any(b"provision-ci-worker" in content for _, content in told)
    found += [where for where, content in told if list(search.within(content))]
    [container_id] = place.containers()
    shown = json.dumps(place.docker.inspect_container(container_id)).encode()
    said = place.docker.logs(container_id)
    pieces, _ = place.docker.get_archive(container_id, "/bootpress-registration-token")
    assert not any(list(search.within(content)) for content in (shown, said, b"".join(pieces)))
    assert found == []
