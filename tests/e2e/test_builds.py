"""Builds on a running stack and its embedded forge: dispatched, run, called back, published, read about."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.pipeline import Pipeline
from bootpress.adapters.prefect_api.api import PrefectApi
from tests.support import services
from tests.support.prefect_worker import start
from tests.support.processes import wait_for
from tests.support.running_stack import Stack, running_stack

pytestmark = [pytest.mark.part("docker-registry"), pytest.mark.timeout(300)]
REPO = "acme/disk-images"
WORKFLOW = """
on:
  workflow_dispatch:
    inputs:
      platform_slug: {type: string}
      dispatch_id: {type: string}
      reference: {type: string}
      silent: {type: string}
jobs:
  build:
    runs-on: disk-image-builder
    steps:
      - name: Build
        env: {REFERENCE: "${{ inputs.reference }}"}
        run: |
          echo "building $GITHUB_REF_NAME"
          test -n "$REFERENCE" || { echo "nothing to announce"; exit 7; }
      - name: Announce
        env:
          SLUG: ${{ inputs.platform_slug }}
          ID: ${{ inputs.dispatch_id }}
          REFERENCE: ${{ inputs.reference }}
          SILENT: ${{ inputs.silent }}
          URL: ${{ vars.POWERNODE_DISK_IMAGE_WEBHOOK_URL }}
          SECRET: ${{ secrets.POWERNODE_DISK_IMAGE_WEBHOOK_SECRET }}
        run: |
          test -z "$SILENT" || exit 0
          body="{\\"platform_slug\\": \\"$SLUG\\", \\"oci_ref\\": \\"$REFERENCE\\", \\"dispatch_id\\": \\"$ID\\"}"
          signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$SECRET" -binary | base64)
          curl --fail --silent --header 'Content-Type: application/json' \\
            --header "X-Powernode-Signature: $signature" --data-binary "$body" "$URL"
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a stack whose embedded forge has a repository, set up by bootpress, with a workflow of the test's."""
    services.require("docker-registry")
    folder = tmp_path_factory.mktemp("builds")
    with running_stack(folder / "home") as running:
        forge = running.call("system_connect_forge", kind="local")["connection"]["url"]
        running.call("bootstrap_disk_image_ci", owner="acme", repo="disk-images", label="builder")
        push(f"{forge}/{REPO}.git", folder / "clone", "announce.yml", WORKFLOW)
        yield running


@pytest.fixture(scope="module")
def pipeline(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    pipeline = Pipeline(stack, tmp_path_factory.mktemp("pipeline"))
    yield pipeline
    pipeline.close()


def push(url: str, clone: Path, name: str, source: str) -> None:
    """Add a workflow to a repository, as a developer does."""
    git = ("git", "-c", "user.name=dev", "-c", "user.email=dev@example.org")
    subprocess.run(["git", "clone", "--quiet", url, clone], check=True)  # noqa: S607 - git is wherever PATH says
    (clone / ".gitea" / "workflows" / name).write_text(source)
    for words in (["add", "."], ["commit", "--quiet", "-m", "Announce"], ["push", "--quiet", "origin", "HEAD"]):
        subprocess.run([*git, *words], cwd=clone, check=True)


def build_of(stack: Stack, build_id: str) -> dict[str, Any]:
    """Return our record of a build."""
    builds = stack.call("system_list_disk_image_builds")["builds"]
    found: dict[str, Any] = next(build for build in builds if build["id"] == build_id)
    return found


def test_a_dispatch_ends_in_a_publication_and_its_run_and_log_are_shown(stack: Stack, pipeline: Pipeline) -> None:
    inputs = {"platform_slug": "bench", "reference": pipeline.push("v1")}
    answer = stack.call("dispatch_gitea_workflow", repo=REPO, workflow="announce.yml", inputs=inputs)
    assert answer["warnings"] == []

    wait_for(lambda: build_of(stack, answer["build_id"])["status"] == "published", what="it is published", seconds=60)

    build = build_of(stack, answer["build_id"])
    [publication] = stack.call("system_list_disk_image_publications", node_platform_id="bench")["publications"]
    assert build["publication_id"] == publication["id"]
    assert publication["oci_ref"] == inputs["reference"]
    [run] = stack.call("list_gitea_workflow_runs", repo=REPO, workflow="announce.yml")["runs"]
    assert (run["id"], run["head_sha"]) == (answer["run_id"], build["head_sha"])
    shown = stack.call("get_gitea_workflow_run", repo=REPO, run_id=answer["run_id"])
    [job] = shown["jobs"]
    log = stack.call("get_gitea_job_logs", run_id=answer["run_id"], job_id=job["id"], grep="building")["logs"]
    assert "building main" in log
    prefect = PrefectApi(stack.prefect_api, auth_string=stack.prefect_auth_string)
    flow_run = prefect.get(f"/flow_runs/{answer['flow_run_id']}")
    assert flow_run["name"] == f"bench @ {answer['run_id']}"
    wait_for(
        lambda: prefect.get(f"/flow_runs/{flow_run['id']}")["state"]["name"] == "Completed", what="its flow has ended"
    )
    prefect.close()


def test_a_run_that_fails_fails_its_build_without_waiting_for_a_deadline(stack: Stack, pipeline: Pipeline) -> None:
    assert pipeline.repository.path == "os/bench"
    inputs = {"platform_slug": "bench"}
    answer = stack.call("dispatch_gitea_workflow", repo=REPO, workflow="announce.yml", inputs=inputs)
    run_id = answer["run_id"]

    def has_ended() -> bool:
        return bool(stack.call("get_gitea_workflow_run", repo=REPO, run_id=run_id)["run"]["conclusion"] == "failure")

    wait_for(has_ended, what="the run has failed", seconds=60)
    prefect = PrefectApi(stack.prefect_api, auth_string=stack.prefect_auth_string)
    start(prefect, "relay-deliveries/every-minute")  # or it would be up to a minute
    wait_for(lambda: build_of(stack, answer["build_id"])["status"] == "failed", what="the build has failed", seconds=90)
    prefect.close()

    assert "its run ended with failure" in build_of(stack, answer["build_id"])["error_message"]
    [event] = stack.call("recent_events", kind_prefix="system.disk_image_build_stuck")["events"]
    assert event["payload"]["run_id"] == run_id
    log = stack.call("get_gitea_job_logs", job_id=run_job(stack, run_id), tail=5)["logs"]
    assert "nothing to announce" in log


def test_a_build_whose_callback_was_lost_is_recovered_from_the_registry(stack: Stack, pipeline: Pipeline) -> None:
    inputs = {"platform_slug": "bench", "reference": "none is announced", "silent": "yes"}
    answer = stack.call("dispatch_gitea_workflow", repo=REPO, workflow="announce.yml", inputs=inputs)
    dispatch_id = build_of(stack, answer["build_id"])["dispatch_id"]
    reference = pipeline.push("main", {"io.bootpress.dispatch-id": dispatch_id})

    def is_recovered() -> bool:
        return bool(build_of(stack, answer["build_id"])["status"] == "lost_callback_recovered")

    # Asked every minute whether the run has ended, and given one minute more for its callback.
    wait_for(is_recovered, what="the build is recovered", seconds=240)
    listed = stack.call("system_list_disk_image_publications", node_platform_id="bench", status="published")
    newest = listed["publications"][0]
    assert (newest["oci_ref"], newest["id"]) == (reference, build_of(stack, answer["build_id"])["publication_id"])
    [event] = stack.call("recent_events", kind_prefix="system.disk_image_build_recovered")["events"]
    assert event["payload"]["publication_id"] == newest["id"]


def run_job(stack: Stack, run_id: str) -> str:
    return str(stack.call("get_gitea_workflow_run", repo=REPO, run_id=run_id)["jobs"][0]["id"])


def test_an_input_that_the_workflow_does_not_declare_is_refused_by_name(stack: Stack) -> None:
    token = Path(stack.endpoints["admin_token_file"]).read_text().strip()
    answer = httpx.post(
        f"{stack.endpoints['api_url']}/api/v1/operations/dispatch_gitea_workflow",
        json={"repo": REPO, "workflow": "announce.yml", "inputs": {"flavour": "x"}},
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["field"] == "inputs.flavour"
    assert "accepted: platform_slug, reference, silent" in answer.json()["hint"]
