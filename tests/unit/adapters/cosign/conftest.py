"""What the tests of the cosign adapter share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import SignatureRejected
from bootpress.core.ports import VerifiedSignature
from tests.support.layouts import LayoutRegistry
from tests.support.vectors import Vector, load_vectors

Verify = Callable[..., VerifiedSignature]
Refuse = Callable[..., str]


@pytest.fixture(scope="session")
def vectors() -> dict[str, Vector]:
    """Return the recorded cases."""
    return load_vectors()


@pytest.fixture(scope="session")
def verifier() -> CosignVerifier:
    """Return one verifier, whose compiled policies all tests share."""
    return CosignVerifier()


@pytest.fixture(scope="session")
def verify(verifier: CosignVerifier) -> Verify:
    """Return a function that verifies a case's image in a registry under the case's policy."""

    def run(vector: Vector, registry: LayoutRegistry) -> VerifiedSignature:
        return verifier.verify(registry, vector.repository, vector.digest, vector.policy)

    return run


@pytest.fixture(scope="session")
def refuse(verify: Verify) -> Refuse:
    """Return a function that makes sure an image is rejected, and returns the reason."""

    def run(vector: Vector, registry: LayoutRegistry) -> str:
        with pytest.raises(SignatureRejected) as caught:
            verify(vector, registry)
        return str(caught.value)

    return run
