"""Where cosign leaves signatures in a registry, and what lies there.

cosign 3 writes a referrer of the image (OCI distribution-spec 1.1; a registry without the referrers API holds them
under the tag `sha256-<hex>`) with a bundle as its layer. cosign 2 writes the tag `sha256-<hex>.sig` with a payload
per layer, its signature in the layer's annotations. Either may be found at the other's place, so what a layer is
decides, and never what an index says of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bootpress.adapters.cosign import parsing, signed_payloads
from bootpress.adapters.cosign.bundles import BUNDLE_V03, Bundle
from bootpress.core.errors import SignatureRejected
from bootpress.core.ports import Descriptor, Registry
from bootpress.core.references import Repository, digest_hex
from bootpress.core.texts import shown

MAX_CANDIDATES = 50
MAX_CANDIDATE = 1 << 20
"""Bytes of one signature, its annotations included."""

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURES = (BUNDLE_V03, SIMPLE_SIGNING)
_SIGNATURE = "dev.cosignproject.cosign/signature"
_CERTIFICATE = "dev.sigstore.cosign/certificate"
_LOG_ENTRY = "dev.sigstore.cosign/bundle"


class LegacySignature:
    """A cosign 2 signature that has the right shape and names one digest; nothing in it is proven yet."""

    format = "legacy-v2"

    def __init__(self, payload: bytes, annotations: dict[str, str], digest: str) -> None:
        self.payload = payload
        self.docker_reference = shown(signed_payloads.check_simple_signing(payload, digest), 500)
        self.signature = parsing.decode_base64(annotations.get(_SIGNATURE, ""), what="the signature annotation")
        self.certificate = annotations.get(_CERTIFICATE)
        self.log_entry = annotations.get(_LOG_ENTRY)


@dataclass(frozen=True, slots=True)
class SignatureLocation:
    """A manifest that may hold signatures; a referrer must name the image as its subject."""

    digest: str
    is_referrer: bool


def signature_tag(digest: str) -> str:
    """Return the tag under which cosign 2 leaves the signatures of a digest."""
    return f"sha256-{digest_hex(digest)}.sig"


def list_layers(registry: Registry, repository: Repository, place: SignatureLocation, digest: str) -> list[Descriptor]:
    """List the layers of a manifest that say they are signatures; none if it is about something else."""
    manifest = registry.fetch_manifest(repository, place.digest)
    layers = [layer for layer in manifest.layers if layer.media_type in _SIGNATURES]
    if layers and place.is_referrer and (manifest.subject is None or manifest.subject.digest != digest):
        raise SignatureRejected("it is listed as a referrer of this image, but names another subject")
    return layers


def fetch_layer(registry: Registry, repository: Repository, layer: Descriptor) -> bytes:
    """Fetch the blob of one signature, as large as its annotations leave room for."""
    room = MAX_CANDIDATE - sum(len(name) + len(value) for name, value in layer.annotations.items())
    if room < 0:
        raise SignatureRejected(f"its annotations are larger than {MAX_CANDIDATE} bytes")
    return registry.read_blob(repository, layer, limit=room)


def read_layer(raw: bytes, layer: Descriptor, digest: str) -> Bundle | LegacySignature:
    """Read one signature and make sure that it is about `digest`."""
    if layer.media_type == SIMPLE_SIGNING:
        return LegacySignature(raw, dict(layer.annotations), digest)
    return Bundle(raw, digest)
