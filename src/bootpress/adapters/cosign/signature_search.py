"""One search for a good signature among what a registry holds for a digest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

from bootpress.adapters.cosign import signature_locations
from bootpress.adapters.cosign.parsing import error_summary
from bootpress.adapters.cosign.policies import Policy
from bootpress.adapters.cosign.signature_locations import MAX_CANDIDATES, SignatureLocation
from bootpress.core.errors import (
    BootpressError,
    RegistryUnavailable,
    Rejected,
    SignatureRejected,
    TrustRootUnavailable,
    Unavailable,
)
from bootpress.core.ports import Descriptor, Registry, VerifiedSignature
from bootpress.core.references import Repository
from bootpress.core.texts import shown

_MAX_AWAY = 3
"""After so many answers that did not come, the rest is not asked for."""
MAX_MANIFESTS = 200
"""Referrers of every kind that are looked at: SBOMs and attestations too, which are no candidates."""
MAX_SECONDS = 900.0
"""A registry that drips holds nobody up for longer."""
_MAX_REASONS = 5
_MAX_REASON = 700

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class _Refused(NamedTuple):
    """Why a candidate is none; the error itself would keep all that was read of it in memory until the search ends."""

    name: str
    reason: str
    hint: str | None


class Search:
    """Look at one candidate after the other; the first good one ends it, a bad one never hides a good one."""

    def __init__(
        self,
        registry: Registry,
        repository: Repository,
        digest: str,
        policy: Policy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._digest = digest
        self._policy = policy
        self._clock = clock
        self._deadline = clock() + MAX_SECONDS
        self._listed: set[str] = set()
        self._left = MAX_CANDIDATES
        self._is_cut = False
        self._refused: list[_Refused] = []
        self._away: list[Unavailable] = []

    def run(self) -> VerifiedSignature:
        """Return the first good signature; SignatureRejected with every reason, or Unavailable, if there is none."""
        for place in self._list_places():
            for layer in self._list_layers(place):
                found = self._look_at(place, layer)
                if found is not None:
                    return found
                if self._gives_up():
                    raise self._conclude()
            if self._gives_up():
                break
        raise self._conclude()

    def _gives_up(self) -> bool:
        if self._clock() > self._deadline:
            self._away.append(RegistryUnavailable(f"the search for signatures took longer than {MAX_SECONDS:.0f} s"))
        return len(self._away) >= _MAX_AWAY or self._clock() > self._deadline

    def _list_places(self) -> Iterator[SignatureLocation]:
        """List the manifests to look at; where cosign 2 signs comes last, but before a crowd that would hide it."""
        list_referrers = partial(self._registry.list_referrers, self._repository, self._digest)
        referrers = self._attempt("the list of referrers", list_referrers) or ()
        self._is_cut = len(referrers) > MAX_MANIFESTS
        is_crowded = len(referrers) >= MAX_CANDIDATES
        if is_crowded:
            yield from self._list_tagged()
        for referrer in referrers[:MAX_MANIFESTS]:
            if self._left <= 0:
                return
            yield SignatureLocation(referrer.digest, is_referrer=True)
        if not is_crowded and self._left > 0:
            yield from self._list_tagged()

    def _list_tagged(self) -> Iterator[SignatureLocation]:
        tag = signature_locations.signature_tag(self._digest)
        tagged = self._attempt(tag, partial(self._registry.find_tag, self._repository, tag))
        if tagged is not None:
            yield SignatureLocation(tagged, is_referrer=False)

    def _list_layers(self, place: SignatureLocation) -> list[Descriptor]:
        """List what a manifest holds; once only, but one that was refused as a referrer may stand under the tag."""
        if place.digest in self._listed:
            return []
        list_layers = partial(signature_locations.list_layers, self._registry, self._repository, place, self._digest)
        layers = self._attempt(place.digest[:19], list_layers)
        if layers is None:
            self._left -= 1
            return []
        self._listed.add(place.digest)
        layers = layers[: self._left]
        self._left -= len(layers)
        return layers

    def _look_at(self, place: SignatureLocation, layer: Descriptor) -> VerifiedSignature | None:
        name = layer.digest[:19]
        raw = self._attempt(name, partial(signature_locations.fetch_layer, self._registry, self._repository, layer))
        if raw is None:
            return None
        return self._attempt(name, partial(self._judge, place, layer, raw))

    def _judge(self, place: SignatureLocation, layer: Descriptor, raw: bytes) -> VerifiedSignature:
        """Verify one candidate; whatever its bytes make a parser raise, it is no signature."""
        try:
            signature = signature_locations.read_layer(raw, layer, self._digest)
            trusted = self._policy.check(signature)
        except (BootpressError, MemoryError):
            raise
        except BaseException as error:
            if not (isinstance(error, Exception) or is_panic(error)):
                raise
            _log.info("candidate %s made %s: %s", layer.digest, type(error).__name__, error_summary(error))
            raise SignatureRejected(f"it cannot be read ({type(error).__name__})") from error
        return VerifiedSignature(
            signer=trusted.signer,
            format=signature.format,
            manifest_digest=place.digest,
            signed_at=trusted.signed_at,
            docker_reference=signature.docker_reference,
        )

    def _attempt(self, name: str, action: Callable[[], _T]) -> _T | None:
        """Do one step; keep why it failed, so that another candidate can be tried."""
        try:
            return action()
        except TrustRootUnavailable:
            raise  # without a root no candidate can be judged
        except Unavailable as error:
            self._away.append(error)
        except Rejected as error:
            self._refused.append(_Refused(name, shown(error.message, _MAX_REASON), error.hint))
        return None

    def _conclude(self) -> BootpressError:
        """Say why nothing was found; "unsigned" only when the registry answered every question."""
        if self._away:
            return self._away[0]
        image = f"{self._digest[:19]}… in {self._repository}"
        if not self._refused and self._left > 0 and not self._is_cut:
            return SignatureRejected(
                f"{image} carries no signature",
                hint="sign the digest with cosign (`cosign sign`) and push the signature before the image is announced",
            )
        reasons = [f"{refused.name}…: {refused.reason}" for refused in self._refused[:_MAX_REASONS]]
        if len(self._refused) > _MAX_REASONS:
            reasons.append(f"and {len(self._refused) - _MAX_REASONS} more")
        if self._left <= 0:
            reasons.append(f"no more than {MAX_CANDIDATES} candidates are looked at")
        elif self._is_cut:
            reasons.append(f"no more than {MAX_MANIFESTS} referrers are looked at")
        hint = next((refused.hint for refused in self._refused if refused.hint), None)
        return SignatureRejected(f"no signature on {image} is trusted: " + "; ".join(reasons), hint=hint)


def is_panic(error: BaseException) -> bool:
    """Tell a panic of a Rust extension (cryptography, rfc3161_client), which is no Exception, from an exit."""
    return type(error).__module__ == "pyo3_runtime"
