"""What is fuzzed: each target takes bytes, and raises nothing but the refusals that its callers expect.

A target also checks what holds of everything it reads, so that reading nonsense in silence is found too.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from bootpress.adapters.cosign import keys, legacy_keyless, rekor, signed_payloads
from bootpress.adapters.cosign.bundles import Bundle
from bootpress.adapters.cosign.identities import Expression, IdentityRule, check_leaf
from bootpress.adapters.cosign.policies import KeysPolicy
from bootpress.adapters.cosign.roots import read_root
from bootpress.adapters.cosign.signature_locations import MAX_CANDIDATE, LegacySignature, read_layer
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.adapters.oci.limits import MAX_BLOB, MAX_MANIFEST, MAX_REFERRERS
from bootpress.adapters.oci.manifests import ACCEPTED, digest_of, parse_manifest, parse_referrers
from bootpress.adapters.oci.www_authenticate import choose_challenge
from bootpress.core import strict_json
from bootpress.core.deliveries import payload as announcement
from bootpress.core.errors import BootpressError, ContentRejected, InvalidInput, SignatureRejected
from bootpress.core.platforms.trust import KeysTrust, TrustPolicy
from bootpress.core.ports import Descriptor, Manifest
from bootpress.core.publications.artifacts import MAX_CONFIG
from bootpress.core.publications.image_configs import CONFIGS, read_architecture
from bootpress.core.references import is_loopback, parse_digest, parse_reference, parse_repository
from bootpress.core.texts import reject_unstorable_text
from bootpress.core.validation_errors import invalid_input
from bootpress.core.webhooks import hmac_signature
from tests.fuzz import seeds, verifying
from tests.support.go_json import Members, read_as_go
from tests.support.vectors import trusted_root

LONGEST_REFUSAL = 6000
TITLE = "org.opencontainers.image.title"


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of an outsider's bytes."""

    name: str
    read: Callable[[bytes], None]
    """Reads, and asserts what holds of the result."""
    refuses: tuple[type[BootpressError], ...]
    """The only errors that may come out."""
    seeds: Callable[[], list[bytes]]
    largest: int
    """Bytes that its callers let through."""
    tries: int = 2000
    """Inputs of plain chance for each run of the tests; fewer where one takes milliseconds."""

    def check(self, raw: bytes) -> bool:
        """Tell whether the input was read; False if it was refused as it should be. Anything else is raised."""
        try:
            self.read(raw[: self.largest])
        except self.refuses as error:
            _check_refusal(error)
            return False
        return True


def _check_refusal(error: BootpressError) -> None:
    """Make sure that a refusal says something, in one line of bounded length that can be stored and shown."""
    said = str(error)
    assert error.message
    assert len(said) <= LONGEST_REFUSAL
    assert said.isprintable(), said


def _read_announcement(raw: bytes) -> None:
    said = announcement.read_announcement(raw)
    _check_storable([said.claims, said.platform_slug, said.oci_ref])
    assert said.platform_slug
    assert said.manifest_sha256 is None or said.manifest_sha256 == said.manifest_sha256.lower()
    if said.digest is not None:
        parse_digest(said.digest)


_HMAC = hmac.digest(seeds.SECRET.encode(), seeds.BODY, "sha256")


def _read_signature_header(raw: bytes) -> None:
    value = raw.decode("latin-1")
    given = hmac_signature.decode(value)
    assert given is None or len(given) == len(_HMAC)
    assert hmac_signature.verify(seeds.BODY, value, ["other", seeds.SECRET]) == (given == _HMAC)
    assert not hmac_signature.verify(seeds.BODY, value, [])


def _read_manifest(raw: bytes) -> None:
    refusals = []
    for served_as in (None, *ACCEPTED):
        try:
            manifest = parse_manifest(raw, content_type=served_as)
        except ContentRejected as refusal:
            refusals.append(refusal)
            continue
        assert manifest.digest == digest_of(raw)
        assert manifest.media_type in ACCEPTED
        assert served_as in (None, manifest.media_type)
        assert (manifest.config is None) == manifest.is_index == (not manifest.layers and manifest.is_index)
        for each in (*manifest.layers, *manifest.manifests):
            _check_descriptor(each)
        _check_storable(dict(manifest.annotations))
        _check_as_go_reads_it(manifest, raw)
    if len(refusals) == 1 + len(ACCEPTED):
        raise refusals[0]


def _check_as_go_reads_it(manifest: Manifest, raw: bytes) -> None:
    document = read_as_go(raw)
    for name, ours in (("layers", manifest.layers), ("manifests", manifest.manifests)):
        theirs = document.fields(name)
        assert [_as_go(each) for each in theirs] == [(each.media_type, each.digest, each.size) for each in ours]
        titles = [(each.field("annotations") or Members()).exact(TITLE) for each in theirs]
        assert titles == [each.title for each in ours]
    if manifest.config is not None:
        config = manifest.config
        assert _as_go(document.field("config")) == (config.media_type, config.digest, config.size)
    if manifest.subject is not None:
        assert document.field("subject").field("digest") == manifest.subject.digest


def _as_go(descriptor: Members) -> tuple[str, str, int]:
    return descriptor.field("mediaType"), descriptor.field("digest"), descriptor.field("size")


def _read_image_config(raw: bytes) -> None:
    for media_type in CONFIGS:
        architecture = read_architecture(raw, media_type)
        assert architecture == (read_as_go(raw).field("architecture") or None)


def _read_referrers(raw: bytes) -> None:
    found = parse_referrers(raw)
    assert len(found) <= MAX_REFERRERS
    for each in found:
        _check_descriptor(each)


def _check_descriptor(descriptor: Descriptor) -> None:
    assert parse_digest(descriptor.digest) == descriptor.digest
    assert type(descriptor.size) is int
    assert 0 <= descriptor.size <= MAX_BLOB
    _check_storable([descriptor.architecture, descriptor.artifact_type, dict(descriptor.annotations)])


def _check_storable(value: object) -> None:
    """Make sure that both databases take it: no NUL, no half of a surrogate pair."""
    assert reject_unstorable_text(value) is value


_KEYS = KeysPolicy(KeysTrust(mode="keys", public_keys=tuple(seeds.VECTORS["keys-rotation"].trust["public_keys"])))
_BUNDLE_DIGESTS = [vector.digest for vector in seeds.BUNDLES]
_STATED = [seeds.payload(vector) for vector in seeds.BUNDLES]


def _read_bundle(raw: bytes) -> None:
    refusals = []
    for digest in _BUNDLE_DIGESTS:
        try:
            bundle = Bundle(raw, digest)
        except SignatureRejected as refusal:
            refusals.append(refusal)
            if not refusal.message.startswith("it is a signature of something else"):
                raise
            continue
        _KEYS.check(bundle)
        assert bundle.payload in _STATED
    if len(refusals) == len(_BUNDLE_DIGESTS):
        raise refusals[0]


_RULE = IdentityRule(Expression("(?s).*", field="identity"), Expression("(?s).*", field="issuer"))
_ROOT = read_root(trusted_root())
_LEGACY_DIGESTS = [vector.digest for vector in seeds.LEGACY]
_SIGNED = [seeds.payload(vector) for vector in seeds.LEGACY]


def _read_legacy(raw: bytes) -> None:
    """Read a manifest and one payload, as a search does; whoever may push wrote both."""
    try:
        stated = json.loads(raw)
        manifest, payload = json.dumps(stated["manifest"]).encode(), str(stated["payload"]).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    for layer in parse_manifest(manifest, content_type=None).layers:
        about = next((digest for digest in _LEGACY_DIGESTS if digest.encode() in payload), _LEGACY_DIGESTS[0])
        signature = read_layer(payload, layer, about)
        if isinstance(signature, LegacySignature):
            _verify_legacy(signature)
            assert payload in _SIGNED


def _verify_legacy(signature: LegacySignature) -> None:
    assert (signature.docker_reference or "").isprintable()
    if signature.certificate is None:
        _KEYS.check(signature)
    else:
        found, _ = legacy_keyless.verify_legacy(_ROOT, _RULE, signature)
        assert f"{found.identity}{found.issuer}".isprintable()


_CLAIMED = (seeds.BUNDLES[0].digest, seeds.KEYLESS_V2.digest)


def _read_claims(raw: bytes) -> None:
    """Read a payload as either kind of statement about two images; it can be one of them, about one of them."""
    refusals = []
    for digest in _CLAIMED:
        for check in (signed_payloads.check_statement, signed_payloads.check_simple_signing):
            try:
                check(raw, digest)
            except SignatureRejected as refusal:
                _check_refusal(refusal)
                refusals.append(refusal.message)  # not the refusal, which keeps what it is about alive
    assert len(refusals) in {3, 4}
    if len(refusals) == 4:
        raise SignatureRejected(refusals[0])


_CERTIFICATE = rekor.read_certificate(seeds.pem_certificates()[0])
_PAYLOAD, _SIGNATURE = seeds.logged()


def _read_log_entry(raw: bytes) -> None:
    entry = rekor.LogEntry(raw.decode(errors="replace"))
    assert json.loads(entry.promised_bytes)["logID"] == entry.log_id.hex()
    entry.check_subject(payload=_PAYLOAD, signature=_SIGNATURE, certificate=_CERTIFICATE)


def _read_certificate(raw: bytes) -> None:
    certificate = rekor.read_certificate(raw)
    found = _RULE.check(certificate)
    assert f"{found.identity}{found.issuer}".isprintable()
    check_leaf(certificate)
    _ROOT.check_certificate(certificate, certificate.not_valid_before_utc)


def _read_public_key(raw: bytes) -> None:
    key = keys.load_pem(raw.decode(errors="replace"))
    assert len(key.sha256) == 2 * len(_HMAC)
    assert not key.verifies(raw, raw)


class _Request(BaseModel):
    trust: TrustPolicy


def _read_policy(raw: bytes) -> None:
    """Read a policy as the operations do that take one."""
    try:
        request = _Request.model_validate({"trust": strict_json.parse(raw, what="the policy")})
    except ValidationError as error:
        raise invalid_input(_Request, error) from error
    CosignVerifier().check_policy(request.trust)


def _read_reference(raw: bytes) -> None:
    text = raw.decode(errors="replace")
    is_loopback(text)
    reference = parse_reference(text, default_host="default.example")
    assert parse_reference(str(reference)) == reference
    assert str(reference).isprintable()
    assert parse_repository(str(reference.repository)) == reference.repository


def _read_json(raw: bytes) -> None:
    value = strict_json.parse(raw, what="it")
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    assert strict_json.parse(text.encode(), what="it") == value


def _read_challenge(raw: bytes) -> None:
    chosen = choose_challenge([raw.decode("latin-1")])
    assert chosen is None or chosen.scheme in {"basic", "bearer"}


def _whole(name: str, judge: verifying.Judge) -> Target:
    return Target(name, judge.read, (SignatureRejected,), judge.seeds, MAX_CANDIDATE, tries=500)


_TABLE = (
    Target("announcement", _read_announcement, (InvalidInput,), seeds.announcements, announcement.MAX_BODY),
    Target("signature-header", _read_signature_header, (), seeds.signature_headers, 8192),
    Target("json", _read_json, (InvalidInput,), seeds.documents, MAX_MANIFEST),
    Target("reference", _read_reference, (InvalidInput,), seeds.references, announcement.MAX_BODY),
    Target("manifest", _read_manifest, (ContentRejected,), seeds.manifests, MAX_MANIFEST),
    Target("image-config", _read_image_config, (ContentRejected,), seeds.image_configs, MAX_CONFIG),
    Target("referrers", _read_referrers, (ContentRejected,), seeds.indexes, MAX_MANIFEST),
    Target("bundle", _read_bundle, (SignatureRejected,), seeds.bundles, MAX_CANDIDATE),
    Target("legacy-signature", _read_legacy, (ContentRejected, SignatureRejected), seeds.legacies, MAX_CANDIDATE),
    Target("claims", _read_claims, (SignatureRejected,), seeds.statements, MAX_CANDIDATE),
    Target("log-entry", _read_log_entry, (SignatureRejected,), seeds.log_entries, MAX_CANDIDATE),
    Target("certificate", _read_certificate, (SignatureRejected,), seeds.pem_certificates, MAX_CANDIDATE),
    Target("public-key", _read_public_key, (InvalidInput,), seeds.public_keys, 8192),
    Target("policy", _read_policy, (InvalidInput,), seeds.policies, MAX_CANDIDATE),
    Target("challenge", _read_challenge, (), seeds.challenges, 64 * 1024),
    _whole("whole-keyless-bundle", verifying.KEYLESS_BUNDLES),
    _whole("whole-keyed-bundle", verifying.KEYED_BUNDLES),
    _whole("whole-legacy-signature", verifying.LEGACY_SIGNATURES),
)
TARGETS = {target.name: target for target in _TABLE}
