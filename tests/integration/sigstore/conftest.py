"""A platform that trusts the live services' root, images on a real registry, and real cosign to sign them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from bootpress.core.publications.models import Publication
from tests.support.cosign import Cosign
from tests.support.oidc_issuer import Issuer
from tests.support.publishing_harness import PublishingHarness, SignedRepository
from tests.support.registries import RunningRegistry
from tests.support.sigstore_live import MAIN, Sigstore


class Pipeline:
    """Builds, signs keyless and announces, as a forge's workflow does."""

    def __init__(self, place: RunningRegistry, services: Sigstore, folder: Path) -> None:
        self.place = place
        self.services = services
        self.shelf = SignedRepository(place.connection, folder)
        self.shelf.trust = services.trust()
        self.keeper = PublishingHarness(f"sqlite:///{folder / 'catalog.db'}", self.shelf)
        self._folder = folder

    def cosign(self, major: int) -> Cosign:
        return Cosign(major, self._folder / f"cosign{major}", login=self.place.connection)

    def sign(
        self, *, major: int = 3, rekor: int = 2, workflow: str = MAIN, issuer: Issuer | None = None, tag: str = "v1"
    ) -> str:
        """Push an image and sign it as a run of a workflow; return its digest."""
        digest = self.shelf.push(sign=False, tag=tag)
        token = self.services.token(workflow, issuer=issuer)
        self.cosign(major).sign_keyless(self.shelf.repository.at(digest), self.services, token, rekor=rekor)
        return digest

    def announce(self, digest: str) -> tuple[str, Publication]:
        """Ring the bell and do what the flow does; return the outcome and the publication."""
        delivery_id = self.keeper.announce(ref=self.shelf.repository.at(digest))
        outcome = self.keeper.process(delivery_id)
        publication_id: UUID | None = self.keeper.delivery(delivery_id).publication_id
        return outcome, self.keeper.publication(publication_id)

    def close(self) -> None:
        self.keeper.catalog.close()
        self.shelf.registries.close()


@pytest.fixture
def pipeline(
    request: pytest.FixtureRequest,
    open_registry: Callable[[str], RunningRegistry],
    sigstore: Sigstore,
    tmp_path: Path,
) -> Iterator[Pipeline]:
    """Return one at docker-registry, or at the kind that a test asks for with `everywhere("pipeline")`."""
    place = open_registry(getattr(request, "param", "docker-registry"))
    pipeline = Pipeline(place, sigstore, tmp_path)
    yield pipeline
    pipeline.close()
