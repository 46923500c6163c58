"""What the real oras pushes we read, and what we push it pulls."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bootpress.adapters.oci import Layer, OciRegistry, Pusher
from bootpress.core.references import Repository
from tests.support import services

TYPE = "application/vnd.test.image"


def oras(*words: str, folder: Path) -> None:
    """Run oras in a folder, with no configuration of the developer's."""
    command = [str(services.require("oras")), *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env={"HOME": str(folder)}, timeout=60)


@pytest.mark.part("oras")
def test_what_oras_pushes_is_read(registry: OciRegistry, repository: Repository, folder: Path) -> None:
    (folder / "vmlinuz").write_bytes(b"kernel" * 100_000)
    (folder / "sbom.json").write_text("{}")
    oras("push", "--plain-http", f"{repository}:v1", "--artifact-type", TYPE, "vmlinuz:a/b", folder=folder)
    oras("attach", "--plain-http", f"{repository}:v1", "--artifact-type", "a/sbom", "sbom.json:a/c", folder=folder)
    manifest = registry.fetch_manifest(repository, registry.resolve_tag(repository, "v1"))
    assert manifest.artifact_type == TYPE
    assert [(layer.title, layer.media_type, layer.size) for layer in manifest.layers] == [("vmlinuz", "a/b", 600_000)]
    registry.verify_blob(repository, manifest.layers[0])
    [sbom] = registry.list_referrers(repository, manifest.digest)
    assert sbom.artifact_type == "a/sbom"
    attached = registry.fetch_manifest(repository, sbom.digest)
    assert attached.subject is not None
    assert attached.subject.digest == manifest.digest
    assert registry.read_blob(repository, attached.layers[0], limit=10) == b"{}"


@pytest.mark.part("oras")
def test_what_we_push_is_pulled_by_oras(pusher: Pusher, repository: Repository, folder: Path) -> None:
    (folder / "file").write_bytes(b"initramfs")
    digest = pusher.push_image(repository, [Layer(folder / "file", "a/b", "initrd")], artifact_type=TYPE)
    oras("pull", "--plain-http", f"{repository}@{digest}", folder=folder)
    assert (folder / "initrd").read_bytes() == b"initramfs"
