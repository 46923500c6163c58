"""The template's workflow on a real Gitea, run by the real act, to registries of two kinds, with cosign 3 and 2.

A dispatch pushes to docker-registry, signed by cosign 3; a tag pushes to Gitea's own registry, signed by cosign 2. Each
rings our receiver, and what it announced is published by an ingest with the real verifier.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from bootpress import packaged
from bootpress.adapters.oci import OciRegistries
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.models import Delivery
from bootpress.core.publications.models import Publication
from bootpress.core.rate_limit import RateLimiter
from bootpress.settings import Settings
from tests.support.api import serving
from tests.support.build_repository import PACKAGES, link_programs
from tests.support.core_harness import CoreHarness
from tests.support.cosign import Cosign, Key
from tests.support.gitea import Gitea
from tests.support.processes import wait_for
from tests.support.registries import RunningRegistry
from tests.support.runners import running_runner

pytestmark = [
    pytest.mark.part("image-tools"),
    pytest.mark.part("act"),
    pytest.mark.part("oras"),
    pytest.mark.part("cosign2"),
    pytest.mark.part("cosign3"),
    pytest.mark.part("gitea126"),
    pytest.mark.part("docker-registry"),
]
OWNER, REPO = "press-templates", "disk-images"
NAME = f"{OWNER}/{REPO}"
WORKFLOW = "build-disk-image.yml"
RUN_SECONDS = 180
MANIFEST = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"

TUTORIAL = """
name: Ring as the published tutorial does
on:
  workflow_dispatch:
    inputs:
      platform_slug:
        type: string
jobs:
  build:
    runs-on: disk-image-builder
    steps:
      - name: Push, and sign with the key
        env:
          OCI_REGISTRY: ${{ vars.POWERNODE_OCI_REGISTRY }}
          COSIGN_PRIVATE_KEY: ${{ secrets.COSIGN_PRIVATE_KEY }}
          COSIGN_PASSWORD: ${{ secrets.COSIGN_PASSWORD }}
        run: |
          set -euo pipefail
          image="$OCI_REGISTRY/press-templates/disk-images/${{ inputs.platform_slug }}"
          mkdir -p build/oci && echo '{}' > build/oci/manifest.json
          oras push --plain-http "$image:$GITHUB_REF_NAME" \\
            ./build/oci/manifest.json:application/vnd.powernode.disk_image.v1+manifest
          digest=$(oras resolve --plain-http "$image:$GITHUB_REF_NAME")
          cosign sign --yes --key env://COSIGN_PRIVATE_KEY --tlog-upload=false "$image@$digest"

      - name: Notify platform
        env:
          WEBHOOK_URL: ${{ vars.POWERNODE_DISK_IMAGE_WEBHOOK_URL }}
          WEBHOOK_SECRET: ${{ secrets.POWERNODE_DISK_IMAGE_WEBHOOK_SECRET }}
        run: |
          # Compute HMAC + POST
          PAYLOAD=$(cat <<EOF
          { "platform_slug": "${{ inputs.platform_slug }}",
            "oci_ref": "$OCI_REGISTRY/press-templates/disk-images/${{ inputs.platform_slug }}:$GITHUB_REF_NAME",
            "sbom_path": "build/sbom.spdx.json" }
          EOF
          )
          SIG=$(echo -n "$PAYLOAD" | openssl dgst -sha256 -hmac "$WEBHOOK_SECRET" -binary | base64)
          curl -X POST "$WEBHOOK_URL" \\
            -H "X-Powernode-Signature: $SIG" \\
            -H "Content-Type: application/json" \\
            -d "$PAYLOAD"
"""
"""Its last step is the tutorial's to the letter, with our account in it; in it the registry's variable is empty."""


@dataclass(frozen=True)
class Announced:
    """What a delivery said, and the publication it became."""

    said: dict[str, Any]
    publication: Publication


@dataclass
class Pipeline:
    """A repository made of the template on a forge, our receiver, and the registries that it pushes to."""

    gitea: Gitea
    world: CoreHarness
    registry: RunningRegistry
    folder: Path
    keys: dict[int, Key]
    seen: set[UUID] = field(default_factory=set)

    def set_variable(self, name: str, value: str) -> None:
        path = f"/repos/{NAME}/actions/variables"
        listed = {one["name"] for one in self.gitea.call("GET", path)}
        self.gitea.call("PUT" if name in listed else "POST", f"{path}/{name}", {"name": name, "value": value})

    def set_secret(self, name: str, value: str) -> None:
        self.gitea.call("PUT", f"/repos/{NAME}/actions/secrets/{name}", {"data": value})

    def use_key(self, key: Key) -> None:
        self.set_secret("COSIGN_PRIVATE_KEY", key.private.read_text())

    @contextmanager
    def runner(self, cosign: int) -> Iterator[None]:
        """Run a runner whose jobs have this version of cosign."""
        folder = self.folder / f"runner-{uuid4().hex}"
        programs = link_programs(folder / "programs", cosign=cosign)
        environment = {"DISK_IMAGE_CACHE": str(PACKAGES), "NO_PROXY": "127.0.0.1"}
        with running_runner(self.gitea, NAME, folder, path=[programs], env=environment):
            yield

    def dispatch(self, workflow: str = WORKFLOW, **inputs: str) -> tuple[dict[str, Any], str]:
        """Dispatch a workflow and wait for its end; return the run and its log."""
        before = self._runs()
        path = f"/repos/{NAME}/actions/workflows/{workflow}/dispatches"
        self.gitea.call("POST", path, {"ref": "main", "inputs": inputs})
        return self._ended(before)

    def push_tag(self, tag: str) -> tuple[dict[str, Any], str]:
        """Make a tag and wait for the end of its run; return the run and its log."""
        before = self._runs()
        self.gitea.call("POST", f"/repos/{NAME}/tags", {"tag_name": tag})
        return self._ended(before)

    def _runs(self) -> dict[int, dict[str, Any]]:
        return {one["id"]: one for one in self.gitea.call("GET", f"/repos/{NAME}/actions/runs")["workflow_runs"]}

    def _ended(self, before: dict[int, dict[str, Any]]) -> tuple[dict[str, Any], str]:
        def fresh() -> list[dict[str, Any]]:
            return [one for key, one in self._runs().items() if key not in before]

        wait_for(
            lambda: [one["status"] for one in fresh()] == ["completed"], what="the run has ended", seconds=RUN_SECONDS
        )
        (run,) = fresh()
        (job,) = self.gitea.call("GET", f"/repos/{NAME}/actions/runs/{run['id']}/jobs")["jobs"]
        return run, self._log(job["id"])

    def _log(self, job: int) -> str:
        url = f"{self.gitea.url}/api/v1/repos/{NAME}/actions/jobs/{job}/logs"
        headers = {"authorization": f"token {self.gitea.token}"}
        return httpx.get(url, headers=headers, trust_env=False, timeout=30).raise_for_status().text

    def publish_what_was_announced(self) -> Announced:
        """Do what the flow does with the one new delivery; return what it said and what it became."""
        with self.world.catalog.read_session() as session:
            (delivery_id,) = set(session.scalars(select(Delivery.id))) - self.seen
        self.seen.add(delivery_id)
        # The receiver has launched it, in its own time; we are the run.
        wait_for(lambda: self.world.delivery(delivery_id).current_attempt_id is not None, what="it is launched")
        attempt = self.world.delivery(delivery_id).current_attempt_id
        attempts.start(self.world.context, delivery_id, attempt_id=attempt, flow_run_id=uuid4())
        assert attempt is not None
        assert self.world.work(attempt) == "published", self.world.errors
        delivery = self.world.delivery(delivery_id)
        return Announced(json.loads(delivery.body), self.world.publication(delivery.publication_id))


@pytest.fixture(scope="module")
def pipeline(
    open_gitea: Callable[[str], Gitea],
    open_registry: Callable[[str], RunningRegistry],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pipeline]:
    """Make a repository of the template by hand, with the secrets and variables that bootstrap would set."""
    gitea, registry = open_gitea("126"), open_registry("docker-registry")
    folder = tmp_path_factory.mktemp("pipeline")
    registries = OciRegistries()
    world = CoreHarness(f"sqlite:///{folder / 'catalog.db'}", registries=registries)
    keys = {major: Cosign(major, folder / f"keys-{major}").make_key("ci") for major in (2, 3)}
    settings = Settings(database_url=f"sqlite:///{folder / 'catalog.db'}", encryption_key=world.keys[0])
    _create_repository(gitea)
    rates = RateLimiter(rate=1000, burst=1000)
    with closing(registries), closing(world.catalog), serving(world.context, settings, rates) as port:
        made = Pipeline(gitea, world, registry, folder, keys)
        url = f"http://127.0.0.1:{port}/api/v1/system/webhooks/disk_image/built/{world.webhook_id}"
        made.set_variable("POWERNODE_DISK_IMAGE_WEBHOOK_URL", url)
        made.set_secret("POWERNODE_DISK_IMAGE_WEBHOOK_SECRET", world.secret)
        made.set_variable("POWERNODE_OCI_REGISTRY", registry.host)
        yield made


def _create_repository(gitea: Gitea) -> None:
    gitea.call("POST", "/orgs", {"username": OWNER, "visibility": "private"})
    gitea.call("POST", f"/orgs/{OWNER}/repos", {"name": REPO, "private": True, "default_branch": "main"})
    files = {**packaged.build_repository(), ".gitea/workflows/tutorial.yml": TUTORIAL.encode()}
    changes = [
        {"operation": "create", "path": path, "content": base64.b64encode(content).decode()}
        for path, content in files.items()
    ]
    gitea.call("POST", f"/repos/{NAME}/contents", {"branch": "main", "message": "Begin", "files": changes})


@pytest.fixture(scope="module")
def dispatched(pipeline: Pipeline) -> tuple[dict[str, Any], str, Announced]:
    """Dispatch a build for docker-registry with cosign 3; return the run, its log and what was announced."""
    pipeline.world.platform("edge", oci_repository=f"{pipeline.registry.host}/{NAME}/edge", trust=trust(pipeline, 3))
    pipeline.use_key(pipeline.keys[3])
    with pipeline.runner(3):
        run, log = pipeline.dispatch(platform_slug="edge", dispatch_id="d-1")
    assert run["conclusion"] == "success", log
    return run, log, pipeline.publish_what_was_announced()


def trust(pipeline: Pipeline, major: int) -> dict[str, Any]:
    return {"mode": "keys", "public_keys": [pipeline.keys[major].pem]}


def fetch(pipeline: Pipeline, path: str) -> Any:
    url = f"http://{pipeline.registry.host}/v2/{NAME}/edge/{path}"
    return httpx.get(url, headers={"accept": MANIFEST}, trust_env=False).raise_for_status().json()


def test_a_dispatch_is_built_signed_by_cosign_3_announced_and_published(
    pipeline: Pipeline, dispatched: tuple[dict[str, Any], str, Announced]
) -> None:
    run, log, announced = dispatched
    said, publication = announced.said, announced.publication
    assert (said["dispatch_id"], said["run_id"], said["git_sha"]) == ("d-1", str(run["id"]), run["head_sha"])
    assert publication.oci_ref == f"{pipeline.registry.host}/{NAME}/edge:main"
    assert (publication.git_sha, publication.size_bytes) == (run["head_sha"], said["size_bytes"])
    secret = pipeline.keys[3].private.read_text().splitlines()[1]
    assert secret not in log
    assert pipeline.world.secret not in log

    manifest = fetch(pipeline, f"manifests/{publication.oci_digest}")
    assert manifest["artifactType"] == "application/vnd.bootpress.image.v1"
    assert manifest["config"]["mediaType"] == "application/vnd.bootpress.image.config.v1+json"
    assert [(one["mediaType"], one["annotations"]["org.opencontainers.image.title"]) for one in manifest["layers"]] == [
        ("application/vnd.bootpress.kernel.v1", "vmlinuz"),
        ("application/vnd.bootpress.initramfs.v1.cpio+zstd", "initramfs.cpio.zst"),
        ("application/vnd.bootpress.base.v1.composefs.erofs", "base.erofs"),
    ]
    assert manifest["annotations"]["io.bootpress.dispatch-id"] == "d-1"
    assert manifest["annotations"]["org.opencontainers.image.revision"] == run["head_sha"]

    referrers = fetch(pipeline, f"manifests/{str(publication.oci_digest).replace(':', '-')}")["manifests"]
    (sbom,) = [one["digest"] for one in referrers if one["artifactType"] == "application/spdx+json"]
    (document,) = fetch(pipeline, f"manifests/{sbom}")["layers"]
    assert document["digest"] == said["sbom_digest"]
    assert fetch(pipeline, f"blobs/{document['digest']}")["spdxVersion"] == "SPDX-2.3"


def test_a_tag_is_built_for_the_platform_of_the_variable_and_signed_by_cosign_2_into_gitea_s_registry(
    pipeline: Pipeline,
) -> None:
    gitea = pipeline.gitea
    connected = {"host": gitea.host, "username": gitea.user, "token": gitea.token}
    pipeline.world.call("system_connect_registry", None, name="forge", **connected)
    repository = f"{gitea.host}/{NAME}/tagged"
    pipeline.world.platform("tagged", oci_repository=repository, registry="forge", trust=trust(pipeline, 2))
    pipeline.use_key(pipeline.keys[2])
    pipeline.set_variable("POWERNODE_PLATFORM_SLUG", "tagged")
    pipeline.set_variable("POWERNODE_OCI_REGISTRY", gitea.host)
    pipeline.set_secret("POWERNODE_REGISTRY_USER", gitea.user)
    pipeline.set_secret("POWERNODE_REGISTRY_TOKEN", gitea.token)
    with pipeline.runner(2):
        run, log = pipeline.push_tag("v1.0")
    assert run["conclusion"] == "success", log
    announced = pipeline.publish_what_was_announced()
    assert "dispatch_id" not in announced.said
    assert announced.publication.oci_ref == f"{repository}:v1.0"
    assert gitea.token not in log


def test_the_webhook_step_of_the_published_tutorial_is_taken_unchanged(pipeline: Pipeline) -> None:
    repository = f"{pipeline.registry.host}/{NAME}/unchanged"
    pipeline.world.platform("unchanged", oci_repository=repository, trust=trust(pipeline, 2))
    pipeline.use_key(pipeline.keys[2])
    pipeline.set_variable("POWERNODE_OCI_REGISTRY", pipeline.registry.host)
    with pipeline.runner(2):
        run, log = pipeline.dispatch("tutorial.yml", platform_slug="unchanged")
    assert run["conclusion"] == "success", log
    announced = pipeline.publish_what_was_announced()
    assert announced.said["oci_ref"] == f"/{NAME}/unchanged:main"
    assert announced.publication.oci_ref == f"{repository}:main"


def test_a_platform_that_nobody_named_fails_the_run_before_anything_is_built(pipeline: Pipeline) -> None:
    pipeline.set_variable("POWERNODE_PLATFORM_SLUG", "of-tags")
    pipeline.gitea.call("DELETE", f"/repos/{NAME}/actions/variables/POWERNODE_PLATFORM_SLUG")
    with pipeline.runner(3):
        run, log = pipeline.dispatch()
    assert run["conclusion"] == "failure"
    assert "error: no platform to build for: the input platform_slug and the variable" in log
    assert "vmlinuz" not in log
