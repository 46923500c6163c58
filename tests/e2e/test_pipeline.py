"""A whole pipeline on the oldest and the newest Gitea, with cosign 2 and 3: both triggers, both registries.

docs/tutorial.md is followed to the letter by test_tutorial.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import services
from tests.support.build_repository import PACKAGES, link_programs
from tests.support.gitea import Gitea
from tests.support.processes import wait_for
from tests.support.runners import running_runner
from tests.support.running_stack import Stack, running_stack

pytestmark = [
    pytest.mark.part("image-tools"),
    pytest.mark.part("act"),
    pytest.mark.part("oras"),
    pytest.mark.part("docker-registry"),
]
OWNER, SLUG = "pipelines", "edge"
REPO = f"{OWNER}/disk-images"
BUILD_SECONDS = 150


def publications(stack: Stack, count: int) -> list[dict[str, Any]]:
    """Wait until a number of publications is published; return them, oldest first."""

    def listed() -> list[dict[str, Any]]:
        fields = {"node_platform_id": SLUG, "status": "published"}
        found: list[dict[str, Any]] = stack.call("system_list_disk_image_publications", **fields)["publications"]
        return found[::-1]

    wait_for(lambda: len(listed()) == count, what=f"publication {count} is published", seconds=BUILD_SECONDS)
    return listed()


@pytest.mark.parametrize(("version", "cosign"), [("125", 2), ("126", 3)])
def test_a_dispatch_and_a_tag_are_published_from_either_registry_before_and_after_the_secrets_rotate(
    version: str, cosign: int, open_gitea: Callable[[str], Gitea], tmp_path: Path
) -> None:
    for part in (f"gitea{version}", f"cosign{cosign}", "docker-registry"):
        services.require(part)
    gitea = open_gitea(version)
    gitea.call("POST", "/orgs", {"username": OWNER, "visibility": "private"})
    asked = {"owner": OWNER, "repo": "disk-images", "label": "builder", "platform_slug": SLUG}
    environment = {"DISK_IMAGE_CACHE": str(PACKAGES), "NO_PROXY": "127.0.0.1"}
    programs = link_programs(tmp_path / "programs", cosign=cosign)
    with running_stack(tmp_path / "home") as stack:
        stack.call("system_connect_forge", kind="gitea", url=gitea.url, token=gitea.token)
        made = stack.call("bootstrap_disk_image_ci", **asked)
        trust = {"mode": "keys", "public_keys": [made["cosign_public_key"]]}
        repository = f"{stack.registry}/{REPO}/{SLUG}"
        stack.call("system_create_node_platform", slug=SLUG, arch="amd64", oci_repository=repository, trust=trust)

        with running_runner(gitea, REPO, tmp_path / "runner", path=[programs], env=environment):
            fields = {"repo": REPO, "workflow": "build-disk-image.yml", "inputs": {"platform_slug": SLUG}}
            dispatched = stack.call("dispatch_gitea_workflow", **fields)
            assert followed(stack, dispatched["run_id"])
            (first,) = publications(stack, 1)
            (build,) = stack.call("system_list_disk_image_builds")["builds"]
            run = run_of(stack, dispatched["run_id"])
            assert (build["run_id"], build["publication_id"]) == (dispatched["run_id"], first["id"])
            assert (first["git_sha"], first["oci_ref"]) == (run["head_sha"], f"{repository}:main")
            assert (run["conclusion"], build["status"]) == ("success", "published")
            assert f"pushed {repository}:main as {first['oci_digest']}" in log_of(stack, run["id"], grep="pushed ")

            stack.call("system_connect_registry", host=gitea.host, username=gitea.user, token=gitea.token)
            repository = f"{gitea.host}/{REPO}/{SLUG}"
            stack.call("system_update_node_platform", id=SLUG, oci_repository=repository)
            again = stack.call("bootstrap_disk_image_ci", **asked)
            assert (again["action"], again["webhook_url"]) == ("rotated", made["webhook_url"])
            assert again["webhook_secret"] != made["webhook_secret"]
            assert again["cosign_public_key"] == made["cosign_public_key"]
            gitea.call("POST", f"/repos/{REPO}/tags", {"tag_name": "v2.0"})
            _, second = publications(stack, 2)
            assert second["oci_ref"] == f"{repository}:v2.0"
            assert second["signer"]["key_sha256"] == first["signer"]["key_sha256"]

        (worker,) = stack.call("system_list_ci_workers")["workers"]
        stack.call("system_terminate_ci_worker", id=worker["id"])
        assert gitea.call("GET", f"/repos/{REPO}/actions/runners")["runners"] == []
    gitea.call("DELETE", f"/repos/{REPO}")


def followed(stack: Stack, run_id: str) -> bool:
    """Follow a run to its end; tell whether it was listed as running, and its log shown, while it ran."""
    deadline = time.monotonic() + BUILD_SECONDS
    was_shown = False
    while time.monotonic() < deadline:
        run = run_of(stack, run_id)
        if run["status"] == "completed":
            return was_shown
        if run["status"] == "in_progress" and not was_shown:
            listed = stack.call("list_gitea_workflow_runs", repo=REPO)["runs"]
            was_shown = (run_id, "in_progress") in [(one["id"], one["status"]) for one in listed] and bool(
                log_of(stack, run_id)
            )
        time.sleep(0.2)
    raise AssertionError("the run did not end")


def run_of(stack: Stack, run_id: str) -> dict[str, Any]:
    """Return a run."""
    run: dict[str, Any] = stack.call("get_gitea_workflow_run", repo=REPO, run_id=run_id)["run"]
    return run


def log_of(stack: Stack, run_id: str, **fields: Any) -> str:
    """Return the log of a run's only job."""
    (job,) = stack.call("get_gitea_workflow_run", repo=REPO, run_id=run_id)["jobs"]
    return str(stack.call("get_gitea_job_logs", run_id=run_id, job_id=job["id"], **fields)["logs"])
