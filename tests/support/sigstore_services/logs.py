"""A transparency log: what Rekor 1 and Rekor 2 hand out for an entry, with proofs for whatever is put in.

Every tree has two leaves, ours being the second, so that each proof holds one hash.
"""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.sigstore_services.encoding import base64_text, make_key, spki
from tests.support.sigstore_services.lies import Json, Lies

_FIRST_LEAF = hashlib.sha256(b"\0the first entry").digest()


class Log:
    """One transparency log and its key."""

    def __init__(self, name: str = "log.test") -> None:
        self.name = name
        self.key = make_key()
        self.id = hashlib.sha256(spki(self.key)).digest()
        """What entries name the log by."""

    def with_key(self, key: ec.EllipticCurvePrivateKey) -> Log:
        """Return a log that goes by the same name and id and signs with another key."""
        other = copy.copy(self)
        other.key = key
        return other

    def with_id(self, log_id: bytes) -> Log:
        """Return this log under another id."""
        other = copy.copy(self)
        other.id = log_id
        return other

    def enter(self, body: Json, lies: Lies) -> Json:
        """Return the entry of a body in a bundle, with inclusion proof and checkpoint, but no time (Rekor 2)."""
        lies.change_entry(body)
        raw = json.dumps(body).encode()
        leaf = hashlib.sha256(b"\0" + raw).digest()
        root = base64_text(hashlib.sha256(b"\1" + _FIRST_LEAF + leaf).digest())
        return {
            "logIndex": "1",
            "logId": {"keyId": base64_text(self.id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": root,
                "treeSize": "2",
                "hashes": [base64_text(_FIRST_LEAF)],
                "checkpoint": {"envelope": self.sign_checkpoint(lies.change_checkpoint(f"{self.name}\n2\n{root}\n"))},
            },
            "canonicalizedBody": base64_text(raw),
        }

    def enter_and_promise(self, body: Json, lies: Lies) -> Json:
        """Return the entry of a body in a bundle, with a promised time as well (Rekor 1)."""
        entry = self.enter(body, lies)
        promise = self.promise(entry["canonicalizedBody"], lies.at)["SignedEntryTimestamp"]
        return entry | {
            "integratedTime": str(int(lies.at.timestamp())),
            "inclusionPromise": {"signedEntryTimestamp": promise},
        }

    def sign_checkpoint(self, note: str) -> str:
        """Sign a checkpoint (C2SP signed-note), as Rekor does with an ECDSA key."""
        signature = base64_text(self.id[:4] + self._sign(note.encode()))
        return f"{note}\n\N{EM DASH} {self.name} {signature}\n"

    def promise(self, body: str, at: datetime) -> Json:
        """Return the promise to include an entry, as cosign 2 keeps it (signed entry timestamp)."""
        payload: dict[str, Any] = {
            "body": body,
            "integratedTime": int(at.timestamp()),
            "logID": self.id.hex(),
            "logIndex": 1,
        }
        signed = json.dumps(payload, separators=(",", ":")).encode()
        return {"SignedEntryTimestamp": base64_text(self._sign(signed)), "Payload": payload}

    def describe(self, period: Json) -> Json:
        """Return this log's entry in a trusted root."""
        return describe_log(self.key, period) | {"logId": {"keyId": base64_text(self.id)}}

    def _sign(self, message: bytes) -> bytes:
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))


def describe_log(key: ec.EllipticCurvePrivateKey, period: Json) -> Json:
    """Return a log's entry in a trusted root, whatever it logs."""
    raw = spki(key)
    return {
        "baseUrl": "http://127.0.0.1/log",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": base64_text(raw), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": period},
        "logId": {"keyId": base64_text(hashlib.sha256(raw).digest())},
    }
