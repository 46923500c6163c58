"""What the tests' own services are told to lie about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.sigstore_services.encoding import make_key, utf8_string
from tests.support.sigstore_services.stamps import StampAuthority

Json = dict[str, Any]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
START = datetime(2025, 5, 1, tzinfo=UTC)
NOW = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
"""When they sign; long ago, since a root counts only once it has begun."""
IDENTITY = "https://forge.example/os/images/.gitea/workflows/build.yml@refs/heads/main"
ISSUER = "https://forge.example"


@dataclass(frozen=True, slots=True)
class Lies:
    """What a signature has that an honest one has not; the default is honest."""

    names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(IDENTITY),)
    issuer_raw: bytes | None = ISSUER.encode()
    issuer_der: bytes | None = utf8_string(ISSUER)
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CODE_SIGNING
    usage: x509.KeyUsage | None = None
    is_authority: bool | None = None
    """What the basic constraints say; None for none, as Fulcio does."""
    make_key: Callable[[], PrivateKey] = make_key
    is_forged: bool = False
    """Whether another key than the certificate's signs."""
    issued_by_leaf: bool = False
    """Whether a leaf issues the certificate, as if it were an authority."""
    scts: int = 1
    sct_of_another: bool = False
    """Whether the certificate log's promise is for another certificate."""
    sct_at: datetime = NOW
    at: datetime = NOW
    """When log and stamp say that it was signed; the certificate is valid for ten minutes from NOW."""
    lifetime: timedelta = timedelta(minutes=10)
    change_entry: Callable[[Json], object] = field(default=lambda _body: None)
    """Changes the logged body before the log signs it."""
    change_checkpoint: Callable[[str], str] = field(default=lambda text: text)
    """Changes the checkpoint before the log signs it."""
    stamps: Callable[[StampAuthority, bytes], Sequence[bytes]] | None = None
    """Stamps a signature instead of what is usual: one stamp where the log tells no time, else none."""
    change_bundle: Callable[[Json], object] = field(default=lambda _bundle: None)
    """Changes a cosign 3 bundle after everything in it was signed."""

    change_legacy_entry: Callable[[Json], object] = field(default=lambda _entry: None)
    """Changes the log entry of a cosign 2 signature after the log signed it."""


HONEST = Lies()


def vouched_for_by(issuer: str) -> Lies:
    """Return the lie that another OIDC issuer vouched for the signer."""
    return Lies(issuer_raw=issuer.encode(), issuer_der=utf8_string(issuer))


def named(*identities: str) -> Lies:
    """Return the lie that the certificate speaks for these URIs."""
    return Lies(names=[x509.UniformResourceIdentifier(identity) for identity in identities])
