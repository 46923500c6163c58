"""An OIDC issuer as a forge is one for its pipelines: discovery, one key, signed tokens (OpenID Connect Core 1.0).

Whoever holds it says what a pipeline is: nothing is checked before a token is signed.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "sigstore"
KEY_ID = "tests"
LIFETIME = 600


class Issuer:
    """A running issuer; `url` is what it calls itself."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, **claims: str) -> str:
        """Sign a token for ten minutes; claims beside the registered ones are the caller's."""
        now = int(time.time())
        header = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
        registered = {"iss": self.url, "aud": AUDIENCE, "iat": now, "nbf": now - 5, "exp": now + LIFETIME}
        signed = f"{_encode(header)}.{_encode({**claims, **registered})}"
        return f"{signed}.{_base64url(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def document(self, path: str) -> dict[str, Any] | None:
        """Return what a path serves."""
        public = self._key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": KEY_ID,
            "n": _number(public.n),
            "e": _number(public.e),
        }
        documents: dict[str, dict[str, Any]] = {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            },
            "/keys": {"keys": [key]},
        }
        return documents.get(path)


@contextmanager
def running_issuer(port: int = 0) -> Iterator[Issuer]:
    """Run one on a loopback port: a free one, unless one is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = issuer.document(self.path)
            raw = json.dumps(document).encode()
            self.send_response(404 if document is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    issuer = Issuer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _encode(document: dict[str, Any]) -> str:
    return _base64url(json.dumps(document).encode())


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
