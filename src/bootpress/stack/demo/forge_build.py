"""The way of a build: the forge sets up its repository, runs its workflow, and what that announces is published."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from rich.markup import escape

from bootpress.adapters.forges.embedded.repository.git import git
from bootpress.stack.demo.context import IMAGES, DemoContext, DemoFailed, wait_until
from bootpress.stack.demo.cosign import check_with_cosign

LABEL: Final = "demo-builder"
WORKFLOW: Final = "demo.yml"
RUN_SECONDS: Final = 120.0
PUBLISH_SECONDS: Final = 90.0
FLOW_SECONDS: Final = 90.0
WORDS: Final = """\
# Written by `bootpress demo`. It does what build-disk-image.yml beside it does, with an image of random bytes, so that
# it takes neither cosign nor oras.
name: Demo image
on:
  workflow_dispatch:
    inputs:
      platform_slug: {type: string}
      dispatch_id: {type: string}
jobs:
  build:
    runs-on: disk-image-builder
    steps:
      - name: Build, push, sign, announce
        env:
          INPUT_PLATFORM_SLUG: ${{ inputs.platform_slug }}
          INPUT_DISPATCH_ID: ${{ inputs.dispatch_id }}
          POWERNODE_OCI_REGISTRY: ${{ vars.POWERNODE_OCI_REGISTRY }}
          POWERNODE_DISK_IMAGE_WEBHOOK_URL: ${{ vars.POWERNODE_DISK_IMAGE_WEBHOOK_URL }}
          POWERNODE_DISK_IMAGE_WEBHOOK_SECRET: ${{ secrets.POWERNODE_DISK_IMAGE_WEBHOOK_SECRET }}
          COSIGN_PRIVATE_KEY: ${{ secrets.COSIGN_PRIVATE_KEY }}
          COSIGN_PASSWORD: ${{ secrets.COSIGN_PASSWORD }}
        run: PYTHON -I -m bootpress.stack.sample_build
"""


def run_forge_build(stage: DemoContext, platform: str) -> None:
    """Tell the way of a build on the embedded forge; without git there is none, which is said, and in CI an error."""
    if shutil.which("git") is None:
        hint = "apt install git"
        if os.environ.get("CI") == "true":
            raise DemoFailed("the embedded forge needs git, which is not installed", hint=hint)
        stage.console.print(f"[yellow]-[/] builds by the forge are left out: git is not installed ({hint})")
        return
    with stage.step("connect the embedded forge") as notes:
        forge = stage.call("system_connect_forge", kind="local")["connection"]
        notes.append(f"{forge['version']}, for this account")
    public_key = _bootstrap(stage, platform)
    with stage.step("push a workflow to it") as notes:
        url = f"{forge['url']}/{IMAGES}.git"
        notes.append(f"{_push_workflow(url, stage.folder / 'clone')}  git clone {url}")
    digest = _build(stage, platform)
    if shutil.which("cosign"):
        with stage.step("let cosign check it too") as notes:
            notes.append(check_with_cosign(stage, digest, public_key))


def _bootstrap(stage: DemoContext, platform: str) -> str:
    """Set up the build repository, and have the platform trust its key; return that."""
    with stage.step("bootstrap its build repository") as notes:
        owner, _, repo = IMAGES.partition("/")
        made = stage.call("bootstrap_disk_image_ci", owner=owner, repo=repo, label=LABEL, platform_slug=stage.slug)
        count = len(made["gitea_secrets_set"]), len(made["gitea_variables_set"])
        notes += [f"{count[0]} secrets, {count[1]} variables", stage.flow_run_link(made["flow_run_id"])]
    with stage.step("trust the key that it signs with"):
        keys = [stage.key.public_pem, made["cosign_public_key"]]
        stage.call("system_update_node_platform", id=platform, trust={"mode": "keys", "public_keys": keys})
    return str(made["cosign_public_key"])


def _push_workflow(url: str, clone: Path) -> str:
    """Commit the workflow as a developer does, unless it is there already; return the commit."""
    git("clone", "--quiet", url, str(clone))
    path = clone / ".gitea" / "workflows" / WORKFLOW
    path.write_text(WORDS.replace("PYTHON", shlex.quote(sys.executable)))
    git("add", "--all", cwd=clone)
    if git("status", "--porcelain", cwd=clone):
        git("commit", "--quiet", "--message", "Build the demo's image", cwd=clone)
        git("push", "--quiet", "origin", "HEAD", cwd=clone)
    return git("rev-parse", "--short", "HEAD", cwd=clone).decode().strip()


def _build(stage: DemoContext, platform: str) -> str:
    """Have the forge build, until it is published; return the digest."""
    with stage.step("dispatch it") as notes:
        inputs = {"platform_slug": stage.slug}
        sent = stage.call("dispatch_gitea_workflow", repo=IMAGES, workflow=WORKFLOW, inputs=inputs)
        notes += [f"run {sent['run_id']}", stage.flow_run_link(sent["flow_run_id"])]
    with stage.step("the forge runs it") as notes:
        run, log = _ended_run(stage, sent["run_id"])
        notes.append(f"{run['conclusion']}  {run['url']}")
    for line in log.splitlines():
        _, _, said = line.partition(" ")  # each begins with its moment
        stage.console.print(f"  [dim]│ {escape(said)}[/]", soft_wrap=True, highlight=False)
    if run["conclusion"] != "success":
        raise DemoFailed(f"run {run['id']} ended with {run['conclusion']}", hint=f"the logs: {stage.logs}")
    with stage.step("its webhook wakes the build, until published") as notes:
        publication = _published(stage, sent["build_id"])
        if publication["oci_digest"] not in log or publication["node_platform_id"] != platform:
            raise DemoFailed(f"publication {publication['id']} is not what run {run['id']} pushed")
        if not publication["cosign_verified"]:
            raise DemoFailed(f"publication {publication['id']} was published without proof")
        notes.append(publication["oci_digest"][:19])
    with stage.step("its flow run has ended") as notes:
        notes.append(_resumed(stage, sent["flow_run_id"]))
    return str(publication["oci_digest"])


def _ended_run(stage: DemoContext, run_id: str) -> tuple[dict[str, Any], str]:
    """Wait for the end of a run; return it with the end of its job's log."""
    found: dict[str, Any] = {}

    def is_over() -> bool:
        found.update(stage.call("get_gitea_workflow_run", repo=IMAGES, run_id=run_id))
        return bool(found["run"]["status"] == "completed")

    is_in_time = wait_until(is_over, seconds=RUN_SECONDS)
    log = str(stage.call("get_gitea_job_logs", repo=IMAGES, job_id=found["jobs"][0]["id"], tail=5)["logs"])
    if not is_in_time:
        raise DemoFailed(f"run {run_id} was not over within {RUN_SECONDS:.0f} s", hint=f"its log ends: {log}")
    return found["run"], log


def _published(stage: DemoContext, build_id: str) -> dict[str, Any]:
    """Wait until a build is published; return what it became."""
    build: dict[str, Any] = {}

    def is_over() -> bool:
        listed = stage.call("system_list_disk_image_builds", limit=20)["builds"]
        build.update(next(one for one in listed if one["id"] == build_id))
        return build["finished_at"] is not None

    if not wait_until(is_over, seconds=PUBLISH_SECONDS) or build["status"] != "published":
        reason = f": {build['error_message']}" if build["error_message"] else ""
        link = stage.flow_run_link(build["flow_run_id"])
        hint = f"its run: {link}; the logs: {stage.logs}"
        raise DemoFailed(f"build {build_id} is {build['status']}{reason}", hint=hint)
    return stage.expect(build["publication_id"], "status", value="published")


def _resumed(stage: DemoContext, flow_run_id: str) -> str:
    """Wait for the end of the flow run that slept while the forge built; return what it went through."""
    found: dict[str, Any] = {}

    def is_over() -> bool:
        found.update(stage.ask_prefect("GET", f"/flow_runs/{flow_run_id}") or {})
        return found.get("state_type") in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

    if not wait_until(is_over, seconds=FLOW_SECONDS) or found["state_type"] != "COMPLETED":
        link = stage.flow_run_link(flow_run_id)
        raise DemoFailed(f"the build's flow run is {found.get('state_name', 'unknown')}", hint=f"its page: {link}")
    states = stage.ask_prefect("GET", f"/flow_run_states/?flow_run_id={flow_run_id}") or []
    return " → ".join(state["name"] for state in states if state["name"] not in {"Scheduled", "Pending"})
