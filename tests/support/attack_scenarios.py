"""What a case is made of: an image in a registry, lied about in one way, and the same image without the lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import Any, Literal

from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import BootpressError, SignatureRejected
from tests.support.core_harness import VERIFIER, Images
from tests.support.layouts import LayoutRegistry
from tests.support.mutations import put_bundle, put_legacy, put_referrers
from tests.support.sigstore_services import HONEST, Lies, Services
from tests.support.vectors import Vector, load_vectors

VECTORS = load_vectors()
SERVICES = Services()
TRUST: dict[str, Any] = {
    "mode": "keyless",
    "cosign_identity_regexp": r"https://forge\.example/os/images/.*@refs/heads/main",
    "cosign_issuer_regexp": r"https://forge\.example",
    "trusted_root": SERVICES.trusted_root(),
}
REKOR_1, REKOR_2, COSIGN_2 = "cosign 3 and Rekor 1", "cosign 3 and Rekor 2", "cosign 2"
FORMATS = (REKOR_1, REKOR_2, COSIGN_2)
BUNDLES = (REKOR_1, REKOR_2)
Reason = str | Mapping[str, str]
"""What the refusal says, one for all formats or one for each."""


@dataclass(frozen=True, slots=True)
class AttackScenario:
    """An image in a registry, and whom its platform trusts."""

    registry: LayoutRegistry
    digest: str
    trust: Mapping[str, Any]
    verifier: CosignVerifier = VERIFIER


@dataclass(frozen=True, slots=True)
class Case:
    """One lie: what it is, and what becomes of it."""

    sentence: str
    hostile: Callable[[], AttackScenario]
    honest: Callable[[], AttackScenario]
    """The same without the lie; it must be published, or the case proves nothing."""
    reason: str
    """A part of what the refusal says."""
    error: type[BootpressError] = SignatureRejected
    found: Literal["manifest", "signature", "blobs"] = "signature"
    """The step that finds it; a blob is looked at once the signature is proven."""


@dataclass(frozen=True, slots=True)
class Signed:
    """An image that services signed in one of the formats."""

    format_: str
    lies: Lies = HONEST
    services: Services = SERVICES
    trust: Mapping[str, Any] = field(default_factory=lambda: TRUST)

    def __call__(self) -> AttackScenario:
        """Make the image and sign it."""
        registry = LayoutRegistry()
        digest = make_image(registry)
        if self.format_ == COSIGN_2:
            put_legacy(registry, digest, self.services.make_legacy(digest, self.lies))
        else:
            rekor = 1 if self.format_ == REKOR_1 else 2
            bundle = self.services.make_bundle(digest, self.lies, rekor=rekor)
            put_referrers(registry, digest, [put_bundle(registry, digest, bundle)])
        return AttackScenario(registry, digest, self.trust)


def make_image(registry: LayoutRegistry) -> str:
    """Store an image that nobody signed yet, the same each time; return its digest."""
    images = Images(registry)
    kernel = images.blob(b"a kernel to lie about", "application/vnd.bootpress.kernel.v1")
    return images.image(sign=False, layers=[kernel])


def told(sentence: str, lies: Lies, reason: Reason, *, formats: Iterable[str] = FORMATS) -> Iterator[Case]:
    """Yield a case for each format in which the services tell a lie."""
    for format_ in formats:
        yield Case(f"{sentence}, {format_}", Signed(format_, lies), Signed(format_), of_format(reason, format_))


def told_in_turn(lies: Mapping[str, tuple[Lies, Reason]], *, formats: Sequence[str] = FORMATS) -> Iterator[Case]:
    """Yield a case for each lie, in one format after the other: for rules that are the same for all of them."""
    for (sentence, (lie, reason)), format_ in zip(lies.items(), cycle(formats), strict=False):
        yield from told(sentence, lie, reason, formats=[format_])


def recorded(sentence: str, vector: Vector, hostile: Callable[[], LayoutRegistry], reason: str, **fields: Any) -> Case:
    """Return a case about a recorded signature, in a registry that was changed."""
    return Case(
        f"{sentence}, {vector.name}",
        partial(_scene, vector, hostile),
        partial(_scene, vector, vector.open),
        reason,
        **fields,
    )


def of_format(reason: Reason, format_: str) -> str:
    """Return the reason for one format."""
    return reason if isinstance(reason, str) else reason[format_]


def _scene(vector: Vector, registry: Callable[[], LayoutRegistry]) -> AttackScenario:
    return AttackScenario(registry(), vector.digest, vector.trust)
