"""The recorded signatures, fetched from real registries over HTTP, get the same verdicts as from a directory."""

from __future__ import annotations

import pytest

from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.adapters.oci.limits import Limits
from bootpress.adapters.oci.registries import OciRegistries
from bootpress.core.errors import RegistryUnavailable, SignatureRejected
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.integration.cosign.conftest import SigningHarness
from tests.support.registries import NAMESPACE, everywhere
from tests.support.vectors import Vector, load_vectors, push_vector

pytestmark = pytest.mark.part("docker-registry")
VECTORS = [pytest.param(vector, id=vector.name) for vector in load_vectors().values()]


@everywhere("bench")
@pytest.mark.parametrize("vector", VECTORS)
def test_a_recorded_signature_gets_its_verdict(bench: SigningHarness, vector: Vector) -> None:
    repository = Repository(bench.host, f"{NAMESPACE}/vectors/{vector.name}")
    push_vector(bench.pusher, repository, vector)
    verifier = CosignVerifier()
    if vector.is_good:
        found = verifier.verify(bench.registry, repository, vector.digest, vector.policy)
        assert found.signer.mode == vector.trust["mode"]
        return
    with pytest.raises(SignatureRejected):
        verifier.verify(bench.registry, repository, vector.digest, vector.policy)


def test_a_registry_that_is_not_there_is_unavailable_and_not_unsigned(free_port: int) -> None:
    vector = load_vectors()["unsigned"]
    registries = OciRegistries(limits=Limits(tries=1))
    registry = registries.open(RegistryConnection("gone", f"127.0.0.1:{free_port}"))
    repository = Repository(f"127.0.0.1:{free_port}", "os/images")
    with pytest.raises(RegistryUnavailable):
        CosignVerifier().verify(registry, repository, vector.digest, vector.policy)
    registries.close()
