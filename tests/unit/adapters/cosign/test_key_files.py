"""A private key is read as cosign keeps it, with its password alone."""

from __future__ import annotations

import base64
import json

import pytest

from bootpress.adapters.cosign.key_files import read_signing_key
from bootpress.core.errors import InvalidInput
from bootpress.core.workers.signing_keys import create_key_pair

PAIR = create_key_pair()


def test_a_key_that_was_made_for_a_repository_is_read_with_its_password() -> None:
    assert read_signing_key(PAIR.private_pem, PAIR.password).public_pem == PAIR.public_pem
    assert read_signing_key(PAIR.private_pem.strip(), PAIR.password).public_pem == PAIR.public_pem


def test_another_password_does_not_open_it() -> None:
    with pytest.raises(InvalidInput, match="does not open with this password"):
        read_signing_key(PAIR.private_pem, f"{PAIR.password}x")


def changed(**parts: object) -> str:
    """Return the key file with other members."""
    label = "ENCRYPTED SIGSTORE PRIVATE KEY"
    inner = PAIR.private_pem.partition("-----\n")[2].partition("-----END")[0]
    told = json.loads(base64.b64decode(inner)) | parts
    content = base64.b64encode(json.dumps(told).encode()).decode()
    return f"-----BEGIN {label}-----\n{content}\n-----END {label}-----\n"


@pytest.mark.parametrize(
    ("pem", "what"),
    [
        ("", "no private key as cosign writes it"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key as cosign writes it"),
        (PAIR.private_pem.replace("END ENCRYPTED SIGSTORE", "END ENCRYPTED COSIGN"), "no private key as cosign"),
        (f"{PAIR.private_pem}{PAIR.private_pem}", "no private key as cosign"),
        (changed(kdf={"params": {"N": 1 << 30, "r": 8, "p": 1}, "salt": ""}), "a way that cosign does not use"),
        (changed(kdf={"params": {"N": 65536, "r": 64, "p": 1}, "salt": ""}), "a way that cosign does not use"),
        (changed(cipher={"nonce": "AAAA"}), "does not open with this password"),
        (changed(cipher=[]), "cannot be read"),
        (changed(kdf=None), "cannot be read"),
        (changed(ciphertext="AAAA"), "does not open with this password"),
    ],
)
def test_what_is_no_such_key_is_refused_and_not_repeated(pem: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what) as caught:
        read_signing_key(pem, PAIR.password)
    assert caught.value.__cause__ is None
    assert not any(part in str(caught.value) for part in pem.split() if len(part) > 20)
