"""A real registry, and our verifier looking at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.adapters.oci.push import Layer, Pusher
from bootpress.adapters.oci.registries import OciRegistries
from bootpress.core.platforms.trust import KeysTrust
from bootpress.core.ports import Registry, RegistryConnection, VerifiedSignature
from bootpress.core.references import Repository
from tests.support.registry import running_registry


class Bench:
    """A registry with images to sign, and our verifier looking at it."""

    def __init__(self, host: str, folder: Path) -> None:
        registries = OciRegistries()
        connection = RegistryConnection("default", host)
        self.registry: Registry = registries.open(connection)
        self.pusher: Pusher = registries.open_pusher(connection)
        self.close = registries.close
        self.host = host
        self.repository = Repository(host, "os/images")
        self._folder = folder
        self._count = 0

    def push_image(self) -> str:
        """Push an image that nobody signed yet; return its digest."""
        self._count += 1
        kernel = self._folder / "vmlinuz"
        kernel.write_bytes(b"kernel %d" % self._count)
        layer = Layer(kernel, "application/vnd.bootpress.kernel.v1", "vmlinuz")
        return self.pusher.push_image(self.repository, [layer], artifact_type="application/vnd.bootpress.image.v1")

    def verify(self, digest: str, *pems: str) -> VerifiedSignature:
        """Verify an image under these keys."""
        policy = KeysTrust(mode="keys", public_keys=pems)
        return CosignVerifier().verify(self.registry, self.repository, digest, policy)


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Run one registry for all tests of this folder."""
    folder = tmp_path_factory.mktemp("registry")
    with running_registry(folder) as host:
        bench = Bench(host, folder)
        yield bench
        bench.close()
