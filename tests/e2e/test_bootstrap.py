"""Bootstrap on a real Gitea, by a real worker: what is asked of the forge, a death on the way, no secret anywhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import services
from tests.support.forge_proxy import ForgeProxy, running_proxy
from tests.support.gitea import Gitea, running_gitea
from tests.support.running_stack import Stack, running_stack
from tests.support.secret_search import Search, files_below, prefects_answers

pytestmark = [pytest.mark.part("gitea126"), pytest.mark.part("docker-registry"), pytest.mark.timeout(300)]
PROGRAM = Path(sys.executable).parent / "bootpress"
LABEL = "ubuntu-2404-amd64-builder"


@dataclass(frozen=True, slots=True)
class LiveGitea:
    """A stack, a Gitea, and what passes between them."""

    stack: Stack
    gitea: Gitea
    forge: ForgeProxy

    def bootstrap(self, **fields: Any) -> dict[str, Any]:
        """Do step 1 of the tutorial."""
        asked = {"owner": self.gitea.user, "repo": "disk-images", "label": LABEL, "create_platform_read_token": True}
        return self.stack.call("bootstrap_disk_image_ci", **{**asked, **fields})

    def secrets(self) -> dict[str, str]:
        """Return every secret that the forge was told or told, by where it was."""
        found = {}
        for number, one in enumerate(self.forge.asked):
            name = one.path.rpartition("/")[2]
            if one.method == "PUT" and "/actions/secrets/" in one.path and not name.endswith("_URL"):
                found[f"{name} {number}"] = json.loads(one.body)["data"]
            if name == "registration-token":
                found[f"{name} {number}"] = json.loads(one.answer)["token"]
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGitea]:
    services.require("docker-registry")
    with ExitStack() as running:
        gitea = running.enter_context(running_gitea())
        forge = running.enter_context(running_proxy(gitea.url))
        folder = tmp_path_factory.mktemp("bootstrap") / "home"
        environment = {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_LOGGING_EXTRA_LOGGERS": "bootpress"}
        stack = running.enter_context(running_stack(folder, environment))
        stack.call("system_connect_forge", kind="gitea", url=forge.url, token=gitea.token)
        yield LiveGitea(stack, gitea, forge)


def test_gitea_is_asked_for_nothing_twice_and_has_what_the_answer_says(place: LiveGitea) -> None:
    for round_ in ("created", "rotated"):
        begun = len(place.forge.asked)
        answer = place.bootstrap(platform_slug="edge")
        asked = place.forge.since(begun)
        assert len(asked) == len(set(asked)), asked
        assert len(asked) <= 22, asked
        assert answer["action"] == round_
    there = f"/repos/{place.gitea.user}/disk-images"
    secrets = {one["name"] for one in place.gitea.call("GET", f"{there}/actions/secrets")}
    assert secrets == {*answer["gitea_secrets_set"], "COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD"}
    variables = {one["name"]: one["data"] for one in place.gitea.call("GET", f"{there}/actions/variables")}
    assert variables == {
        "POWERNODE_DISK_IMAGE_WEBHOOK_URL": answer["webhook_url"],
        "POWERNODE_OCI_REGISTRY": place.stack.registry,
        "POWERNODE_PLATFORM_SLUG": "edge",
    }
    assert place.gitea.call("GET", f"{there}/contents/.gitea/workflows/build-disk-image.yml")["type"] == "file"
    given = place.gitea.call("POST", f"{there}/actions/runners/registration-token")["token"]
    assert answer["ci_worker_token"] == given
    [worker] = place.stack.call("system_list_ci_workers")["workers"]
    assert (worker["id"], worker["status"]) == (answer["ci_worker_id"], "pending")
    rung = place.stack.announce(answer, platform_slug="edge", oci_ref=f"{place.stack.registry}/os/edge:v1")
    assert rung.status_code == httpx.codes.ACCEPTED


def test_a_worker_that_is_killed_after_gitea_took_a_secret_is_followed_by_a_run_that_goes_on(place: LiveGitea) -> None:
    answers: list[dict[str, Any]] = []
    begun = len(place.forge.asked)
    place.forge.hold("/actions/secrets/POWERNODE_DISK_IMAGE_WEBHOOK_SECRET")
    calling = threading.Thread(target=lambda: answers.append(place.bootstrap(label="killed", repo="killed")))
    calling.start()
    assert place.forge.held.wait(60)
    endpoints = json.loads((place.stack.home / "endpoints.json").read_text())
    os.kill(endpoints["pids"]["worker"], signal.SIGKILL)
    place.forge.free.set()
    calling.join(100)
    [answer] = answers
    assert answer["action"] == "created"
    asked = place.forge.since(begun)
    again = {one for one in asked if asked.count(one) > 1}
    assert {one.rpartition("/")[2] for one in again} <= {"POWERNODE_DISK_IMAGE_WEBHOOK_SECRET"}
    sent = [one for one in place.forge.asked[begun:] if one.path.endswith("/POWERNODE_DISK_IMAGE_WEBHOOK_SECRET")]
    assert {json.loads(one.body)["data"] for one in sent} == {answer["webhook_secret"]}
    assert len(sent) == 2
    workers = place.stack.call("system_list_ci_workers")["workers"]
    webhooks = place.stack.call("system_list_disk_image_webhooks")["webhooks"]
    assert [one["name"] for one in workers].count("killed") == [one["label"] for one in webhooks].count("killed") == 1


def test_a_person_reads_what_to_keep_and_what_to_do(place: LiveGitea) -> None:
    fields = [f"owner={place.gitea.user}", "repo=read", "label=read", "create_platform_read_token=true"]
    done = subprocess.run(
        [PROGRAM, "call", "bootstrap_disk_image_ci", *fields],
        env={"BOOTPRESS_HOME": str(place.stack.home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "  - POWERNODE_OCI_REGISTRY is" in done.stdout
    assert any(line.startswith("webhook_secret") for line in lines)
    assert "-----BEGIN PUBLIC KEY-----" in done.stdout
    assert "shown once" in done.stdout


def test_what_gitea_refuses_leaves_nothing_behind(place: LiveGitea) -> None:
    before = (place.stack.call("system_list_ci_workers"), place.stack.call("system_list_disk_image_webhooks"))
    for owner, said in (("nobody", "no organisation nobody"),):
        with pytest.raises(AssertionError, match=said):
            place.bootstrap(owner=owner, label="refused")
    assert before == (
        place.stack.call("system_list_ci_workers"),
        place.stack.call("system_list_disk_image_webhooks"),
    )


def test_what_is_shown_once_is_shown_by_no_replay_and_written_nowhere(place: LiveGitea) -> None:
    token = (place.stack.home / "admin.token").read_text().strip()
    url = f"{place.stack.endpoints['api_url']}/api/v1/operations/bootstrap_disk_image_ci"
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "once"}
    fields = {"owner": place.gitea.user, "repo": "once", "label": "once", "create_platform_read_token": True}
    first, again = (httpx.post(url, json=fields, headers=headers, timeout=60) for _ in range(2))
    assert again.headers["Idempotent-Replayed"] == "true"
    nulled = {"webhook_secret": None, "ci_worker_token": None}
    assert again.json() == first.json() | nulled
    known = place.secrets() | {"webhook secret": first.json()["webhook_secret"]}
    kinds = {name.partition(" ")[0] for name in known}
    assert kinds >= {"POWERNODE_PLATFORM_READ_TOKEN", "COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD", "registration-token"}
    search = Search(known)
    found = [(name, path) for path, content in files_below(place.stack.home) for name in search.within(content)]
    with httpx.Client(base_url=place.stack.prefect_api, auth=place.stack.prefect_auth, timeout=60) as prefect:
        told = list(prefects_answers(prefect))
    assert any(b"bootstrap-disk-image-ci" in content for _, content in told)
    found += [(name, where) for where, content in told for name in search.within(content)]
    for name in ("recent_events", "list_api_tokens", "system_list_connections", "system_list_ci_workers"):
        said = json.dumps(place.stack.call(name)).encode()
        found += [(secret, name) for secret in search.within(said)]
    assert found == []
