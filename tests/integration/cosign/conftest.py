"""Real registries, and our verifier looking at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.adapters.oci.push import Layer, Pusher
from bootpress.adapters.oci.registries import OciRegistries
from bootpress.core.platforms.trust import KeysTrust
from bootpress.core.ports import Registry, VerifiedSignature
from bootpress.core.references import Repository
from tests.support.cosign import Cosign
from tests.support.registries import NAMESPACE, RunningRegistry


class SigningHarness:
    """A registry with images to sign, and our verifier looking at it."""

    def __init__(self, place: RunningRegistry, folder: Path) -> None:
        registries = OciRegistries()
        self.place = place
        self.registry: Registry = registries.open(place.connection)
        self.pusher: Pusher = registries.open_pusher(place.connection)
        self.close = registries.close
        self.host = place.host
        self.repository = Repository(place.host, f"{NAMESPACE}/signed-images")
        self._folder = folder
        self._count = 0

    def push_image(self) -> str:
        """Push an image that nobody signed yet; return its digest."""
        self._count += 1
        kernel = self._folder / "vmlinuz"
        kernel.write_bytes(b"kernel %d of %s" % (self._count, uuid4().bytes))
        layer = Layer(kernel, "application/vnd.bootpress.kernel.v1", "vmlinuz")
        return self.pusher.push_image(self.repository, [layer], artifact_type="application/vnd.bootpress.image.v1")

    def verify(self, digest: str, *pems: str) -> VerifiedSignature:
        """Verify an image under these keys."""
        policy = KeysTrust(mode="keys", public_keys=pems)
        return CosignVerifier().verify(self.registry, self.repository, digest, policy)

    def cosign(self, major: int, home: Path) -> Cosign:
        """Return the real cosign, logged in where the registry asks for it."""
        return Cosign(major, home, login=self.place.connection)


@pytest.fixture
def bench(
    request: pytest.FixtureRequest, open_registry: Callable[[str], RunningRegistry], tmp_path: Path
) -> Iterator[SigningHarness]:
    """Return a bench at docker-registry, or at the kind that a test asks for with `everywhere("bench")`."""
    folder = tmp_path / "layers"
    folder.mkdir()
    bench = SigningHarness(open_registry(getattr(request, "param", "docker-registry")), folder)
    yield bench
    bench.close()
