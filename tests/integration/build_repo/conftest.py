"""One key, one folder of programs, one built image for all tests of the template."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.build_repository import Checkout, link_programs
from tests.support.cosign import Cosign, Key


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with oras and cosign 3."""
    return link_programs(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="session")
def signing_key(tmp_path_factory: pytest.TempPathFactory) -> Key:
    """Return a key pair of cosign's, without a password."""
    return Cosign(3, tmp_path_factory.mktemp("keys")).make_key("ci")


@pytest.fixture
def checkout(tmp_path: Path, programs: Path, signing_key: Key) -> Checkout:
    """Return a checkout in which every setting is good."""
    return Checkout(tmp_path / "checkout", programs, key=signing_key.private.read_text())


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, programs: Path, signing_key: Key) -> Checkout:
    """Return a checkout in which `build.sh` has run; tests change nothing in it."""
    made = Checkout(tmp_path_factory.mktemp("built"), programs, key=signing_key.private.read_text())
    done = made.run("build.sh", "--arch", "amd64", "--variants", "kernel-initrd-composefs-oci")
    assert done.returncode == 0, done.stdout + done.stderr
    return made
