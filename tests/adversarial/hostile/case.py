"""What a case says, and the words that the families of cases are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bootpress.adapters.oci import Limits
from bootpress.core.errors import BootpressError, RegistryUnavailable, Rejected
from tests.support.hostile_registry import Behaviour
from tests.support.served_images import REQUESTS, ServedImage

MIB = 1024 * 1024
BUFFERS = 16 * MIB
"""What lies in sockets at the most when a client has stopped reading."""
LIMITS = Limits()
SLOW = Limits(request_seconds=1.5, rate_seconds=1, tries=1)
SILENT = Limits(silence_seconds=0.3)

BEFORE = {
    "tag": 1,
    "manifest": 2,
    "config": 3,
    "api": 4,
    "referrers": 5,
    "signature": 6,
    "bundle": 7,
    "kernel": 10,
}
"""Requests of an honest ingest before it asks for a part, at the most: blobs are asked for at once.

The manifest is asked for once more before the blobs: a purge may have deleted it in between.
"""
OF_SIGNATURE = frozenset({"api", "referrers", "signature", "bundle"})
"""Parts after whose failure the place where cosign 2 leaves signatures is still looked at: one request more."""
ASKED = ("tag", "manifest", "config", "referrers", "signature", "bundle", "kernel")
"""Parts that an honest registry has."""
TRIES = LIMITS.tries

Ending = Literal["published", "failed", "postponed"]
Mischief = Callable[[ServedImage], object]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One behaviour at one place, and what comes of it."""

    name: str
    mischief: Mischief
    ending: Ending
    error: type[BootpressError] | None = None
    says: str = ""
    """An expression that is found in what the operator reads."""
    requests: int = REQUESTS
    """At the most, at both origins."""
    sent: int = 2 * MIB
    """Bytes at the most that were got rid of to us, at both origins."""
    seconds: float = 20
    """At the most, with what was waited for; a minute and more is waited for in no time."""
    elsewhere: int = 0
    """Requests at the other origin: exactly so many."""
    limits: Limits = LIMITS
    origins: tuple[Literal["http", "https"], Literal["http", "https"]] = ("http", "http")
    plain_http: bool = False
    """The registry has a name, and its connection allows HTTP."""
    claims: Mapping[str, str] = field(default_factory=dict)
    """Announced besides; `{digest}` stands for the image's."""
    after: Mischief = lambda _: None
    """What is still so when the registry is mended."""
    pause: float = 15
    """Seconds until a postponed delivery is tried again."""
    asks_for_credential: bool = True
    """Whether the credential may have gone to the registry itself."""


def on(part: str, *behaviours: Behaviour) -> Mischief:
    """Misserve one part."""
    return lambda served: served.on(part, *behaviours)


def once(part: str, *behaviours: Behaviour) -> Mischief:
    """Misserve one part, and then no more."""
    return lambda served: served.on(part, *behaviours, served.honest(part))


def each(*mischiefs: Mischief) -> Mischief:
    """Do one thing after the other."""

    def mischief(served: ServedImage) -> None:
        for one in mischiefs:
            one(served)

    return mischief


def changed(part: str, *makes: Callable[[bytes], Behaviour], then_well: bool = False) -> Mischief:
    """Misserve one part with what is made of its right bytes, one after the other; the last stays, or all is well."""

    def mischief(served: ServedImage) -> None:
        wrong = [make(served.content(part)) for make in makes]
        served.on(part, *wrong, *([served.honest(part)] if then_well else []))

    return mischief


def published(name: str, mischief: Mischief, *, more_requests: int = 0, **more: Any) -> Case:
    """Return a case that is published all the same, after so many requests more than an honest one takes."""
    fields = {"requests": REQUESTS + more_requests, **more}
    return Case(name=name, mischief=mischief, ending="published", **fields)


def rejected(name: str, mischief: Mischief, error: type[Rejected], says: str, *, at: str, **more: Any) -> Case:
    """Return a case that fails for good at the first look at a part."""
    fields = {"requests": BEFORE[at] + 1 + (at in OF_SIGNATURE), **more}
    return Case(name=name, mischief=mischief, ending="failed", error=error, says=says, **fields)


def away(name: str, mischief: Mischief, says: str, *, at: str, asks: int = 1, **more: Any) -> Case:
    """Return a case that is postponed after a part was asked for so often."""
    fields = {"requests": BEFORE[at] + asks + (at in OF_SIGNATURE), **more}
    return Case(name=name, mischief=mischief, ending="postponed", error=RegistryUnavailable, says=says, **fields)
