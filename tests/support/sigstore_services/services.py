"""All services together: sign an image as cosign 2 or 3 does, through them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from tests.support.sigstore_services.authority import Authority, Leaf
from tests.support.sigstore_services.encoding import base64_text
from tests.support.sigstore_services.lies import HONEST, START, Json, Lies
from tests.support.sigstore_services.logs import Log, describe_log
from tests.support.sigstore_services.stamps import StampAuthority

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class Services:
    """One authority with its certificate log, two transparency logs (Rekor 1, Rekor 2), one timestamp authority."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.log, self.timeless_log = Log(), Log("timeless.test")
        self.stamps = StampAuthority()

    def trusted_root(self) -> Json:
        """Return the trusted root that names these services, in use from START on."""
        period = {"start": START.isoformat()}
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self.log.describe(period), self.timeless_log.describe(period)],
            "certificateAuthorities": [self.authority.describe(period)],
            "ctlogs": [describe_log(self.authority.ct_key, period)],
            "timestampAuthorities": [self.stamps.describe(period)],
        }

    def issue(self, lies: Lies = HONEST) -> Leaf:
        """Issue a certificate for a fresh key."""
        return self.authority.issue(lies)

    def make_bundle(self, digest: str, lies: Lies = HONEST, *, rekor: int = 1) -> Json:
        """Sign an image as cosign 3 does, logged by Rekor 1, or by Rekor 2 and stamped."""
        leaf = self.issue(lies)
        payload = json.dumps(statement(digest)).encode()
        message = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
        signature = leaf.sign(message)
        if rekor == 1:
            entry = self.log.enter_and_promise(_dsse_body(payload, signature, leaf), lies)
        else:
            entry = self.timeless_log.enter(_hashedrekord_body(message, signature, leaf), lies)
        stamps = [{"signedTimestamp": base64_text(one)} for one in self._stamp(signature, lies, rekor=rekor)]
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": leaf.der},
                "tlogEntries": [entry],
                **({"timestampVerificationData": {"rfc3161Timestamps": stamps}} if stamps else {}),
            },
            "dsseEnvelope": {
                "payload": base64_text(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64_text(signature)}],
            },
        }
        lies.change_bundle(bundle)
        return bundle

    def make_legacy(self, digest: str, lies: Lies = HONEST) -> tuple[bytes, dict[str, str]]:
        """Sign an image as cosign 2 does; return the payload and its layer's annotations."""
        leaf = self.issue(lies)
        payload = json.dumps(simple_signing(digest)).encode()
        signature = base64_text(leaf.sign(payload))
        body = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
                "signature": {"content": signature, "publicKey": {"content": base64_text(leaf.pem.encode())}},
            },
        }
        lies.change_entry(body)
        entry = self.log.promise(base64_text(json.dumps(body).encode()), lies.at)
        lies.change_legacy_entry(entry)
        return payload, {
            "dev.cosignproject.cosign/signature": signature,
            "dev.sigstore.cosign/certificate": leaf.pem,
            "dev.sigstore.cosign/bundle": json.dumps(entry),
        }

    def _stamp(self, signature: bytes, lies: Lies, *, rekor: int) -> Sequence[bytes]:
        if lies.stamps is not None:
            return lies.stamps(self.stamps, signature)
        return [] if rekor == 1 else [self.stamps.stamp(signature, lies.at)]


def statement(digest: str) -> Json:
    """Return what cosign 3 says of an image (in-toto Statement v1)."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    }


def simple_signing(digest: str) -> Json:
    """Return what cosign 2 says of an image."""
    critical = {
        "identity": {"docker-reference": "registry.example/os/images"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return {"critical": critical, "optional": None}


def _dsse_body(payload: bytes, signature: bytes, leaf: Leaf) -> Json:
    """Return a dsse 0.0.1 entry (Rekor 1)."""
    return {
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": base64_text(signature), "verifier": base64_text(leaf.pem.encode())}],
        },
    }


def _hashedrekord_body(message: bytes, signature: bytes, leaf: Leaf) -> Json:
    """Return a hashedrekord 0.0.2 entry (Rekor 2): of a DSSE envelope, what is hashed is what is signed."""
    verifier = {"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": leaf.der}}
    return {
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {
            "hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": base64_text(hashlib.sha256(message).digest())},
                "signature": {"content": base64_text(signature), "verifier": verifier},
            }
        },
    }
