"""Whom a certificate speaks for, and what it may be used for: what Fulcio never issued, or issued to somebody else.

The rule about names is one for all formats: what an issue names is told in each of them, variations of it in turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.attack_scenarios import BUNDLES, COSIGN_2, REKOR_1, REKOR_2, Case, Reason, told, told_in_turn
from tests.support.sigstore_services import IDENTITY, ISSUER, Lies, named, vouched_for_by
from tests.support.sigstore_services.encoding import key_usage, utf8_string

_MALLORY = "https://mallory.example"
_URI = x509.UniformResourceIdentifier(IDENTITY)
_USER_NAME = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), b"\x0c\x04mail")
_OTHER_IDENTITY, _OTHER_ISSUER = "signed by another identity", "signed by another issuer"
_NO_NAME, _UNFIT = "not a printable name", "not one to sign code with"

_IN_EACH_FORMAT: dict[str, tuple[Lies, str]] = {
    "an identity in a query string": (named(f"{_MALLORY}/?{IDENTITY}"), _OTHER_IDENTITY),
    "an identity with a suffix": (named(IDENTITY + "2"), _OTHER_IDENTITY),
    "an identity with a trailing newline": (named(IDENTITY + "\n"), _NO_NAME),
    "a certificate with two SANs": (named(IDENTITY, f"{_MALLORY}/x"), "names 2 identities"),
    "a certificate by the wrong issuer": (vouched_for_by(_MALLORY), _OTHER_ISSUER),
    "a certificate by an issuer that has ours as its prefix": (
        vouched_for_by(f"{ISSUER}.mallory.example"),
        _OTHER_ISSUER,
    ),
    "issuer extensions that disagree": (Lies(issuer_der=utf8_string(_MALLORY)), "names two issuers"),
    "an authority as leaf": (Lies(is_authority=True), "an authority's, not a signer's"),
    "a certificate that another leaf issued": (Lies(issued_by_leaf=True), "certificate chain"),
}
_IN_TURN: dict[str, tuple[Lies, Reason]] = {
    "an identity in a fragment": (named(f"{_MALLORY}/#{IDENTITY}"), _OTHER_IDENTITY),
    "an identity behind a user name": (
        named(IDENTITY.replace("forge.example", "forge.example@mallory.example")),
        _OTHER_IDENTITY,
    ),
    "an identity with a prefix": (named("x" + IDENTITY), _OTHER_IDENTITY),
    "an identity that was cut": (named(IDENTITY[:-1]), _OTHER_IDENTITY),
    "an identity of a pull request": (named(IDENTITY.replace("heads/main", "pull/1/merge")), _OTHER_IDENTITY),
    "an identity of another repository": (named(IDENTITY.replace("/os/", "/mallory/")), _OTHER_IDENTITY),
    "an identity where a dot is another letter": (named(IDENTITY.replace("forge.", "forgeX")), _OTHER_IDENTITY),
    "an identity in capitals": (named(IDENTITY.upper()), _OTHER_IDENTITY),
    "an identity of a hundred thousand letters": (
        named(IDENTITY.replace("build", "build" * 20_000) + "2"),
        _OTHER_IDENTITY,
    ),
    "an identity with a newline and another behind": (named(f"{IDENTITY}\n{_MALLORY}"), _NO_NAME),
    "an identity with a zero byte behind": (named(IDENTITY + "\0"), _NO_NAME),
    "a certificate with two SANs, the better one last": (named(f"{_MALLORY}/x", IDENTITY), "names 2 identities"),
    "a certificate with the same SAN twice": (named(IDENTITY, IDENTITY), "names 2 identities"),
    "a certificate with a SAN and a mail address": (
        Lies(names=[_URI, x509.RFC822Name("m@mallory.example")]),
        "names 2 identities",
    ),
    "a certificate with a SAN and a user name": (Lies(names=[_URI, _USER_NAME]), "names 2 identities"),
    "a certificate with a thousand SANs": (named(*[IDENTITY] * 1000), "names 1000 identities"),
    "a certificate for a mail address": (Lies(names=[x509.RFC822Name("ci@forge.example")]), _OTHER_IDENTITY),
    "a certificate for a host": (Lies(names=[x509.DNSName("forge.example")]), "neither a URI nor a mail"),
    "a certificate for nobody": (Lies(names=[]), "missing required extension"),
    "a certificate by an issuer that is a prefix of ours": (vouched_for_by(ISSUER[:-1]), _OTHER_ISSUER),
    "a certificate by an issuer with a slash behind": (vouched_for_by(f"{ISSUER}/"), _OTHER_ISSUER),
    "a certificate by an issuer without TLS": (vouched_for_by(ISSUER.replace("https", "http")), _OTHER_ISSUER),
    "issuer extensions of which the older one lies": (Lies(issuer_raw=_MALLORY.encode()), "names two issuers"),
    "issuer extensions that disagree by a slash": (Lies(issuer_der=utf8_string(f"{ISSUER}/")), "names two issuers"),
    "an issuer with a trailing newline": (Lies(issuer_raw=f"{ISSUER}\n".encode(), issuer_der=None), _NO_NAME),
    "an issuer in another encoding": (Lies(issuer_der=b"\x16" + utf8_string(ISSUER)[1:]), "cannot be read"),
    "an issuer with more behind it": (Lies(issuer_der=utf8_string(ISSUER) + b"x"), "cannot be read"),
    "a certificate by no issuer": (Lies(issuer_raw=None, issuer_der=None), "names no issuer"),
    "an authority that may issue others as leaf": (
        Lies(is_authority=True, usage=key_usage(sign_certificates=True)),
        _UNFIT,
    ),
    "a leaf that may issue others": (Lies(usage=key_usage(sign_certificates=True)), _UNFIT),
    "a server's certificate": (Lies(purpose=ExtendedKeyUsageOID.SERVER_AUTH), _UNFIT),
    "a certificate for any purpose": (Lies(purpose=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE), _UNFIT),
    "a certificate for no purpose": (Lies(purpose=None), "does not say what it is for"),
    "a certificate that is not to sign": (Lies(usage=key_usage(sign=False)), _UNFIT),
}


def cases() -> Iterator[Case]:
    """Yield every case of this family."""
    for sentence, (lies, reason) in _IN_EACH_FORMAT.items():
        yield from told(sentence, lies, reason)
    yield from told_in_turn(_IN_TURN)
    yield from told(
        "a signature by another key than the certificate's",
        Lies(is_forged=True),
        {REKOR_1: "invalid signature", REKOR_2: "invalid signature", COSIGN_2: "the signature does not hold"},
    )
    yield from told("a certificate for an RSA key", Lies(make_key=_make_rsa), "(TypeError)", formats=BUNDLES)
    yield from told(
        "a certificate for a key on P-384 that signs SHA-256",
        Lies(make_key=lambda: ec.generate_private_key(ec.SECP384R1())),
        "the signature does not hold",
        formats=[COSIGN_2],
    )


def _make_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)
