"""The template of a build repository on this machine: its scripts, with the real programs that they call."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bootpress import packaged
from tests.support import services
from tests.support.ports import free_port
from tools.shell import CACHE

PACKAGES = CACHE / "disk-images"
"""Debian packages that images are made of, kept from one test run to the next."""
COMMIT = "c0ffee" * 6 + "c0de"
EPOCH = "1700000000"


def lay_out(folder: Path) -> Path:
    """Write the template into a folder, as bootstrap does into a repository."""
    for path, content in packaged.build_repository().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def link_programs(folder: Path, *, cosign: int = 3) -> Path:
    """Make a folder with `oras` and one major version of `cosign` under their own names, to be put on PATH."""
    services.require("image-tools")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "oras").symlink_to(services.require("oras"))
    (folder / "cosign").symlink_to(services.require(f"cosign{cosign}"))
    return folder


class Checkout:
    """A checkout of the template, its scripts run as steps of a job; `env` is what the forge and its secrets set."""

    def __init__(self, folder: Path, programs: Path, *, key: str) -> None:
        self.folder = lay_out(folder)
        self.env: dict[str, str] = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "DISK_IMAGE_CACHE": str(PACKAGES),
            "GITHUB_REPOSITORY": "Acme/disk-images",
            "GITHUB_REF_NAME": "main",
            "GITHUB_RUN_ID": "7",
            "GITHUB_SHA": COMMIT,
            "INPUT_PLATFORM_SLUG": "edge",
            "INPUT_DISPATCH_ID": "d1",
            "POWERNODE_OCI_REGISTRY": f"127.0.0.1:{free_port()}",
            "POWERNODE_DISK_IMAGE_WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/",
            "POWERNODE_DISK_IMAGE_WEBHOOK_SECRET": "s3cret",
            "COSIGN_PRIVATE_KEY": key,
            "COSIGN_PASSWORD": "",
            "SOURCE_DATE_EPOCH": EPOCH,
        }

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a script of the repository with bash; `env` changes single variables, empty as an absent secret is."""
        bash = shutil.which("bash")
        assert bash
        return subprocess.run(
            [bash, *words],
            cwd=self.folder,
            env=self.env | dict(env or {}),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def fake_build(self) -> None:
        """Leave what `build.sh` and `push.sh` would, a few bytes of it."""
        oci = self.folder / "build" / "oci"
        oci.mkdir(parents=True)
        for name, text in (("config.json", "{}"), ("vmlinuz", "kernel"), ("initramfs.cpio.zst", "initramfs")):
            (oci / name).write_text(text)
        (oci / "digest").write_text(f"sha256:{'d' * 64}\n")
        (oci.parent / "sbom.spdx.json").write_text("{}")
        (oci.parent / "arch").write_text("amd64\n")
        (oci.parent / "epoch").write_text(f"{EPOCH}\n")
