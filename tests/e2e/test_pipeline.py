"""A whole pipeline on the oldest Gitea: bootstrap, runner, dispatch and tag, into Gitea's own registry, with cosign 2.

docs/tutorial.md is the same on the newest, into docker-registry, with cosign 3 (test_tutorial.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import parts
from tests.support.build_repository import PACKAGES, link_programs
from tests.support.gitea import Gitea
from tests.support.processes import wait_for
from tests.support.runners import running_runner
from tests.support.running_stack import Stack, running_stack

pytestmark = [
    pytest.mark.part("image-tools"),
    pytest.mark.part("act"),
    pytest.mark.part("oras"),
    pytest.mark.part("cosign2"),
    pytest.mark.part("gitea125"),
    pytest.mark.part("docker-registry"),
]
OWNER, SLUG = "pipelines", "oldest"
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


def test_dispatch_and_tag_are_published_from_gitea_s_own_registry_before_and_after_the_secrets_rotate(
    open_gitea: Callable[[str], Gitea], tmp_path: Path
) -> None:
    parts.require("docker-registry")
    gitea = open_gitea("125")
    gitea.call("POST", "/orgs", {"username": OWNER, "visibility": "private"})
    asked = {"owner": OWNER, "repo": "disk-images", "label": "oldest-builder", "platform_slug": SLUG}
    environment = {"DISK_IMAGE_CACHE": str(PACKAGES), "NO_PROXY": "127.0.0.1"}
    programs = link_programs(tmp_path / "programs", cosign=2)
    with running_stack(tmp_path / "home") as stack:
        stack.call("system_connect_forge", kind="gitea", url=gitea.url, token=gitea.token)
        stack.call("system_connect_registry", host=gitea.host, username=gitea.user, token=gitea.token)
        made = stack.call("bootstrap_disk_image_ci", **asked)
        trust = {"mode": "keys", "public_keys": [made["cosign_public_key"]]}
        repository = f"{gitea.host}/{REPO}/{SLUG}"
        stack.call("system_create_node_platform", slug=SLUG, arch="amd64", oci_repository=repository, trust=trust)

        with running_runner(gitea, REPO, tmp_path / "runner", path=[programs], env=environment):
            fields = {"repo": REPO, "workflow": "build-disk-image.yml", "inputs": {"platform_slug": SLUG}}
            dispatched = stack.call("dispatch_gitea_workflow", **fields)
            (first,) = publications(stack, 1)
            (build,) = stack.call("system_list_disk_image_builds")["builds"]
            wait_for(lambda: run_of(stack, dispatched)["status"] == "completed", what="Gitea knows of the end")
            run = run_of(stack, dispatched)
            assert (build["run_id"], build["publication_id"]) == (dispatched["run_id"], first["id"])
            assert (first["git_sha"], first["oci_ref"]) == (run["head_sha"], f"{repository}:main")
            assert (run["conclusion"], build["status"]) == ("success", "published")
            log = stack.call("get_gitea_job_logs", run_id=run["id"], job_id=job(stack, run["id"]), grep="pushed ")[
                "logs"
            ]
            assert f"pushed {repository}:main as {first['oci_digest']}" in log

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


def run_of(stack: Stack, dispatched: dict[str, Any]) -> dict[str, Any]:
    """Return the run of a dispatch."""
    run: dict[str, Any] = stack.call("get_gitea_workflow_run", repo=REPO, run_id=dispatched["run_id"])["run"]
    return run


def job(stack: Stack, run_id: str) -> str:
    """Return the id of a run's only job."""
    (found,) = stack.call("get_gitea_workflow_run", repo=REPO, run_id=run_id)["jobs"]
    return str(found["id"])
