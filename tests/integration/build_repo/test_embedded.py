"""The template's workflow on the embedded forge: no Gitea, no runner, the same build."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bootpress import packaged
from bootpress.core.ports import RunStatus
from tests.support.api import running_press
from tests.support.build_repository import PACKAGES, Checkout
from tests.support.embedded_forge import REPOSITORY, EmbeddedForgeHarness, eventually, kept
from tests.support.registries import RunningRegistry

pytestmark = [pytest.mark.part("image-tools"), pytest.mark.part("oras"), pytest.mark.part("cosign3")]
WORKFLOW = "build-disk-image.yml"
RUN_SECONDS = 120
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.mark.part("docker-registry")
def test_the_embedded_forge_runs_the_template_as_it_is(
    built: Checkout,
    programs: Path,
    open_registry: Callable[[str], RunningRegistry],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = open_registry("docker-registry")
    monkeypatch.setenv("PATH", f"{programs}:{built.env['PATH']}")
    embedded = EmbeddedForgeHarness(tmp_path / "forge")
    with running_press(f"sqlite:///{tmp_path / 'catalog.db'}") as press, kept(embedded):
        bell = press.provision("embedded")
        embedded.forge.create_repository(REPOSITORY)
        embedded.forge.add_files(REPOSITORY, packaged.build_repository(), message="Begin")
        secrets = {
            "COSIGN_PRIVATE_KEY": built.env["COSIGN_PRIVATE_KEY"],
            "POWERNODE_DISK_IMAGE_WEBHOOK_SECRET": bell.secret,
        }
        variables = {
            "POWERNODE_DISK_IMAGE_WEBHOOK_URL": press.url + bell.path,
            "POWERNODE_OCI_REGISTRY": registry.host,
        }
        for name, value in secrets.items():
            embedded.forge.set_secret(REPOSITORY, name, value)
        for name, value in variables.items():
            embedded.forge.set_variable(REPOSITORY, name, value)
        for cache in (tmp_path / "forge").glob(".state/repositories/*/*"):
            shutil.copytree(PACKAGES, cache / "cache" / "disk-images", ignore=shutil.ignore_patterns("apt-*"))
        inputs = {"platform_slug": "embedded", "dispatch_id": "d-1"}
        run_id = embedded.forge.dispatch(REPOSITORY, WORKFLOW, ref="main", inputs=inputs, dispatch_id="d-1")
        assert run_id is not None
        eventually(
            lambda: embedded.run(run_id).status is RunStatus.COMPLETED, what="the end of the run", seconds=RUN_SECONDS
        )
        assert embedded.run(run_id).conclusion == "success", embedded.log(run_id)
        (delivery,) = press.called("system_list_disk_image_deliveries")["deliveries"]
    assert delivery["oci_ref"] == f"{registry.host}/{REPOSITORY}/embedded:main"
    url = f"http://{registry.host}/v2/{REPOSITORY}/embedded/manifests/main"
    manifest = httpx.get(url, headers={"accept": MANIFEST}, trust_env=False).raise_for_status().json()
    assert manifest["annotations"]["io.bootpress.dispatch-id"] == "d-1"
