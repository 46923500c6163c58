"""What cosign 2 attaches to an image by tag, as JSON: enough of it for what reads it without trusting it."""

from __future__ import annotations

import base64
import json
from typing import Any

SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
SBOM = "text/spdx+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def signature_payload(digest: str) -> bytes:
    """Write the payload of a cosign 2 signature on a digest."""
    critical = {
        "identity": {"docker-reference": "registry.example/os/images"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical, "optional": None}).encode()


def attestation(*digests: str, payload_type: str = "application/vnd.in-toto+json", files: int = 0) -> bytes:
    """Write an envelope whose statement is about these digests, with an SBOM of so many files."""
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://spdx.dev/Document",
        "subject": [{"name": "image", "digest": {"sha256": digest.removeprefix("sha256:")}} for digest in digests],
        "predicate": {
            "files": [
                {
                    "SPDXID": f"SPDXRef-File-{number}",
                    "fileName": f"/usr/share/doc/{number}/copyright",
                    "checksums": [{"algorithm": "SHA1", "checksumValue": "b" * 40}],
                    "licenseConcluded": "NOASSERTION",
                }
                for number in range(files)
            ]
        },
    }
    return envelope(json.dumps(statement).encode(), payload_type=payload_type)


def envelope(statement: bytes, *, payload_type: str = "application/vnd.in-toto+json") -> bytes:
    """Write an envelope around a statement."""
    payload = base64.b64encode(statement).decode()
    signatures = [{"keyid": "", "sig": base64.b64encode(b"signature").decode()}]
    return json.dumps({"payloadType": payload_type, "payload": payload, "signatures": signatures}).encode()


def manifest_of(config: dict[str, Any], layers: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Write the manifest that holds them."""
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **more}
