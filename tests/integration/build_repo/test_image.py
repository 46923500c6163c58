"""What `build.sh` makes: real parts of a real image, the same each time, and one that boots."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import services
from tests.support.build_repository import EPOCH, Checkout

pytestmark = [pytest.mark.part("image-tools"), pytest.mark.part("oras"), pytest.mark.part("cosign3")]
BOOT_SECONDS = 120
PROMPT = b"/ # "


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_config_says_what_was_built(built: Checkout) -> None:
    config = read(built.folder / "build" / "oci" / "config.json")
    assert config.pop("kernelVersion")[0].isdigit()
    assert config == {
        "schemaVersion": 1,
        "os": "linux",
        "architecture": "amd64",
        "cmdline": "console=ttyS0",
        "baseFormat": "erofs",
        "composefsDigest": None,
        "sourceDateEpoch": int(EPOCH),
    }


def test_the_sbom_is_spdx_and_names_the_packages_that_are_in_the_image(built: Checkout) -> None:
    document = read(built.folder / "build" / "sbom.spdx.json")
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    image, kernel, busybox = document["packages"]
    version = read(built.folder / "build" / "oci" / "config.json")["kernelVersion"]
    assert (kernel["name"], busybox["name"]) == (f"linux-image-{version}", "busybox-static")
    for package in (kernel, busybox):
        assert len(package["checksums"][0]["checksumValue"]) == 64
        assert package["externalRefs"][0]["referenceLocator"].startswith("pkg:deb/")
    related = {(one["spdxElementId"], one["relatedSpdxElement"]) for one in document["relationships"]}
    assert {(image["SPDXID"], kernel["SPDXID"]), (image["SPDXID"], busybox["SPDXID"])} < related


def test_the_initramfs_is_the_same_each_time_and_without_mkfs_erofs_the_base_is_left_out(
    built: Checkout, checkout: Checkout, tmp_path: Path
) -> None:
    few = tmp_path / "bin"
    few.mkdir()
    for folder in reversed(["/usr/bin", "/bin"]):
        for file in Path(folder).iterdir():
            (few / file.name).unlink(missing_ok=True)
            (few / file.name).symlink_to(file)
    (few / "mkfs.erofs").unlink()
    done = checkout.run("build.sh", "--variants", "kernel-initrd-composefs-oci", env={"PATH": str(few)})
    assert done.returncode == 0, done.stderr
    assert "no base: this machine has no mkfs.erofs" in done.stdout
    first, second = built.folder / "build", checkout.folder / "build"
    assert not (second / "oci" / "base.erofs").exists()
    for name in ("oci/vmlinuz", "oci/initramfs.cpio.zst", "sbom.spdx.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert read(second / "oci" / "config.json")["baseFormat"] is None


def test_without_apt_the_packages_of_the_cache_are_taken_and_named(checkout: Checkout, tmp_path: Path) -> None:
    few = tmp_path / "bin"
    few.mkdir()
    for program in ("bash", "dirname", "find", "sort", "tail", "id", "mkdir", "sed", "grep", "uname"):
        (few / program).symlink_to(shutil.which(program) or "")
    cache = tmp_path / "cache" / "amd64"
    cache.mkdir(parents=True)
    for name in ("busybox-static_1_amd64.deb", "busybox-static_9_amd64.deb", "busybox-static_10_amd64.deb"):
        (cache / name).touch()
    for name in ("apt-get", "dpkg"):
        (few / name).write_text("#!/bin/bash\nexit 100\n")
        (few / name).chmod(0o755)
    script = "source scripts/common.sh; source scripts/packages.sh; fetch_package amd64 busybox-static"
    offline = {"PATH": str(few), "DISK_IMAGE_CACHE": str(cache.parent)}
    done = checkout.run("-c", script, "scripts/common.sh", env=offline)
    assert done.stdout == str(cache / "busybox-static_10_amd64.deb"), done.stderr
    assert "taking busybox-static_10_amd64.deb from the cache" in done.stderr
    (missing,) = [checkout.run("-c", script.replace("busybox", "toybox"), "scripts/common.sh", env=offline)]
    assert missing.returncode == 1
    assert "apt does not know the package toybox-static for amd64" in missing.stderr


@pytest.mark.part("qemu")
def test_the_image_boots_to_a_shell_that_answers_and_turns_the_machine_off(built: Checkout) -> None:
    oci = built.folder / "build" / "oci"
    cmdline = read(oci / "config.json")["cmdline"]
    words = ["-nographic", "-no-reboot", "-m", "512", "-accel", "tcg", "-nic", "user,model=virtio-net-pci"]
    words += ["-kernel", str(oci / "vmlinuz"), "-initrd", str(oci / "initramfs.cpio.zst"), "-append", cmdline]
    with subprocess.Popen(
        [services.require("qemu"), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as machine:
        try:
            said = _wait_for(machine, PROMPT)
            assert machine.stdin is not None
            machine.stdin.write(b"echo sum=$((40 + 2)) $(ls /sys/class/net); exit\n")
            machine.stdin.flush()
            said += _wait_for(machine, b"sum=42 eth0 lo")
            assert machine.wait(BOOT_SECONDS) == 0
        finally:
            machine.kill()
    assert b"disk image of commit c0ffee" in said


def _wait_for(machine: subprocess.Popen[bytes], text: bytes) -> bytes:
    assert machine.stdout is not None
    said, deadline = b"", time.monotonic() + BOOT_SECONDS
    while text not in said:
        ready, _, _ = select.select([machine.stdout], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(machine.stdout.fileno(), 65536) if ready else b""
        assert piece, said[-2000:].decode(errors="replace")
        said += piece
    return said
