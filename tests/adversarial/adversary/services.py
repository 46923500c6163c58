"""What look-alike services sign, and real ones at the wrong time, or once the root no longer believes them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import cycle
from typing import Any

from tests.support.attack_scenarios import (
    COSIGN_2,
    FORMATS,
    REKOR_1,
    REKOR_2,
    SERVICES,
    TRUST,
    Case,
    Reason,
    Signed,
    of_format,
    told,
    told_in_turn,
)
from tests.support.sigstore_services import NOW, START, Json, Lies, Services, StampAuthority
from tests.support.sigstore_services.encoding import base64_text, make_key

_SECOND = timedelta(seconds=1)
_BEFORE, _AFTER = NOW - _SECOND, NOW + timedelta(minutes=10) + _SECOND
_LOOK_ALIKE = Services()


def cases() -> Iterator[Case]:
    """Yield every case of this family."""
    yield from _look_alikes()
    yield from _times()
    yield from _certificate_log()
    yield from _roots()


def _look_alikes() -> Iterator[Case]:
    no_chain, no_log = "certificate chain", "no transparency log"
    for sentence, swap, reason in (
        ("services that look alike in everything", _swap_all, {REKOR_1: no_log, REKOR_2: no_log, COSIGN_2: no_log}),
        ("a look-alike authority", _swap_authority, no_chain),
        ("a look-alike certificate log", _swap_ct_log, "SCT"),
        ("a look-alike log", _swap_logs, no_log),
        ("a look-alike log that goes by the real one's id", _swap_log_keys, {
            REKOR_1: "checkpoint: invalid signature",
            REKOR_2: "checkpoint: invalid signature",
            COSIGN_2: "the log did not sign",
        }),
    ):  # fmt: skip
        yield from _by(sentence, swap, reason)
    yield from _by("a look-alike timestamp authority", _swap_stamps, "not enough sources", formats=[REKOR_2])


def _by(
    sentence: str, swap: Callable[[Services], object], reason: Reason, *, formats: tuple[str, ...] | list[str] = FORMATS
) -> Iterator[Case]:
    """Yield a case for each format in which one of the services is another."""
    services = copy.copy(SERVICES)
    swap(services)
    for format_ in formats:
        hostile = Signed(format_, services=services)
        yield Case(f"{sentence}, {format_}", hostile, Signed(format_), of_format(reason, format_))


def _swap_all(services: Services) -> None:
    services.__dict__.update(_LOOK_ALIKE.__dict__)


def _swap_authority(services: Services) -> None:
    services.authority = copy.copy(_LOOK_ALIKE.authority)
    services.authority.ct_key = SERVICES.authority.ct_key


def _swap_ct_log(services: Services) -> None:
    services.authority = copy.copy(SERVICES.authority)
    services.authority.ct_key = _LOOK_ALIKE.authority.ct_key


def _swap_logs(services: Services) -> None:
    services.log, services.timeless_log = _LOOK_ALIKE.log, _LOOK_ALIKE.timeless_log


def _swap_log_keys(services: Services) -> None:
    services.log = SERVICES.log.with_key(make_key())
    services.timeless_log = SERVICES.timeless_log.with_key(make_key())


def _swap_stamps(services: Services) -> None:
    services.stamps = _LOOK_ALIKE.stamps


def _times() -> Iterator[Case]:
    yield from told("integrated or stamped before the certificate", Lies(at=_BEFORE), "not valid")
    yield from told("integrated or stamped after the certificate", Lies(at=_AFTER), "not valid")


def _certificate_log() -> Iterator[Case]:
    yield from told("a certificate with no SCT", Lies(scts=0), "signed certificate timestamp")
    lies: dict[str, tuple[Lies, Reason]] = {
        "a certificate with two SCTs": (Lies(scts=2), "certificate timestamp"),
        "the SCT of another certificate": (Lies(sct_of_another=True), "SCT"),
        "an SCT from before the certificate log": (Lies(sct_at=START - _SECOND), "no certificate log"),
    }
    yield from told_in_turn(lies)


_CLOSED = {"start": START.isoformat(), "end": _BEFORE.isoformat()}
_LATER = {"start": (NOW + _SECOND).isoformat()}
_SERVICES_OF_A_ROOT = {
    "the authority": ("certificateAuthorities", "no certificate authority"),
    "the certificate log": ("ctlogs", "no certificate log"),
    "the log": ("tlogs", "no transparency log"),
    "the timestamp authority": ("timestampAuthorities", "not enough sources of verified time"),
}


def _roots() -> Iterator[Case]:
    formats = cycle(FORMATS)
    for name, (member, reason) in _SERVICES_OF_A_ROOT.items():
        for sentence, period in (("had closed", _CLOSED), ("had not opened", _LATER)):
            format_ = REKOR_2 if member == "timestampAuthorities" else next(formats)
            yield _under(f"signed when {name} {sentence}", partial(_set_period, member, period), reason, format_)
    for format_ in FORMATS:
        yield _under("a log of another id than the root says", _set_ids, "no transparency log", format_)
    yield _under("a stamp, and no timestamp authority in the root", _drop_stamps, "no Timestamp", REKOR_2)
    yield _backdated()
    yield _borrowed_key()


def _backdated() -> Case:
    """Return a case about a log that had closed, and a stranger's stamp from when it had not."""
    closed = {"start": START.isoformat(), "end": (NOW + _SECOND).isoformat()}
    root: Json = copy.deepcopy(TRUST["trusted_root"])
    _set_period("tlogs", closed, root)
    signed = partial(Signed, REKOR_2, trust=TRUST | {"trusted_root": root})
    late = NOW + timedelta(minutes=1)
    lies = Lies(stamps=lambda by, of: [StampAuthority().stamp(of, NOW), by.stamp(of, late)])
    return Case("a closed log, backdated by a stranger's stamp", signed(lies), signed(), "no transparency log")


def _borrowed_key() -> Case:
    """Return a case about an entry in the name of a log that is in use, by the key of one that is not.

    sigstore tries every key of a root where an id is not that of a key.
    """
    services, forged = copy.copy(SERVICES), copy.copy(SERVICES)
    services.log = SERVICES.log.with_id(b"a log that has a name of its own")
    forged.log = services.log.with_key(SERVICES.timeless_log.key)
    root = services.trusted_root()
    root["tlogs"][1]["publicKey"]["validFor"] = _CLOSED
    signed = partial(Signed, REKOR_1, trust=TRUST | {"trusted_root": root})
    sentence = "an entry in the name of a log by the key of one that had closed"
    return Case(sentence, signed(services=forged), signed(services=services), "invalid signature")


def _under(sentence: str, change: Callable[[Json], object], reason: str, format_: str) -> Case:
    """Return a case under a root that was changed; its twin is under the root as it is."""
    root: dict[str, Any] = copy.deepcopy(TRUST["trusted_root"])
    change(root)
    hostile = Signed(format_, trust=TRUST | {"trusted_root": root})
    return Case(f"{sentence}, {format_}", hostile, Signed(format_), reason)


def _set_period(member: str, period: Json, root: Json) -> None:
    for service in root[member]:
        service.get("publicKey", service)["validFor"] = period


def _set_ids(root: Json) -> None:
    for log in root["tlogs"]:
        log["logId"] = {"keyId": base64_text(b"another id")}


def _drop_stamps(root: Json) -> None:
    root["timestampAuthorities"] = []
