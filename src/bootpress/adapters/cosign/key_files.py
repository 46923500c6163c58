"""Private keys as cosign keeps them: for the demo's build, which signs with its repository's key and has no cosign.

What writes them is `core.workers.signing_keys`, where the format is described.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.core.errors import InvalidInput

_PEM: Final = re.compile(
    r"-----BEGIN (ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY)-----\s([A-Za-z0-9+/=\s]{1,10000})-----END \1-----\s*",
    re.ASCII,
)
_COSTS: Final = (32768, 65536)
"""Those that cosign writes; no file makes us work harder."""


def read_signing_key(pem: str, password: str) -> SigningKey:
    """Decrypt an ECDSA P-256 key file of cosign; InvalidInput, which names no byte of it, if that is not possible."""
    found = _PEM.fullmatch(pem.strip())
    if found is None:
        raise InvalidInput("this is no private key as cosign writes it", hint="cosign generate-key-pair makes one")
    try:
        told = json.loads(base64.b64decode(found[2]))
        params, salt = told["kdf"]["params"], base64.b64decode(told["kdf"]["salt"])
        nonce, ciphertext = base64.b64decode(told["cipher"]["nonce"]), base64.b64decode(told["ciphertext"])
        cost = int(params["N"])
        if cost not in _COSTS or (params["r"], params["p"]) != (8, 1):
            raise InvalidInput("the private key is encrypted in a way that cosign does not use")
        memory = 2 * 128 * cost * 8
        key = hashlib.scrypt(password.encode(), salt=salt, n=cost, r=8, p=1, maxmem=memory, dklen=SecretBox.KEY_SIZE)
        private = load_der_private_key(SecretBox(key).decrypt(ciphertext, nonce), password=None)
    except CryptoError:
        raise InvalidInput("the private key does not open with this password") from None
    except (ValueError, TypeError, LookupError) as error:
        raise InvalidInput(f"the private key cannot be read: {type(error).__name__}") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise InvalidInput("the private key is of another kind than ECDSA P-256")
    return SigningKey(private)
