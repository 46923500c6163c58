"""A token service for a real registry (distribution token spec): Basic in, a signed JWT that the registry verifies out.

docker-registry trusts it through `auth.token` with the certificate that signs. Every token grants what was asked for
and what the user may: `users` maps `name:password` to the actions; the empty name is anybody.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ISSUER, SERVICE = "tests", "registry"


@dataclass
class TokenService:
    """A running service."""

    url: str
    certificate: Path
    users: Mapping[str, frozenset[str]]
    lifetime: int
    """Seconds; what `expires_in` says too."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """The scope of each request and the name that asked."""
    granted: list[str] = field(default_factory=list)
    """The tokens."""

    @property
    def auth(self) -> dict[str, Any]:
        """Return the registry's `auth` section."""
        token = {"realm": self.url, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(self.certificate)}
        return {"token": token}


@contextmanager
def running_token_service(
    path: Path, users: Mapping[str, frozenset[str]], *, lifetime: int = 300
) -> Iterator[TokenService]:
    """Run one on a free loopback port; its certificate is written into `path`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = _certificate(key)
    pem = path / "token-service.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
            who = base64.b64decode(encoded).decode() if scheme == "Basic" else ""
            scope = parse_qs(urlsplit(self.path).query).get("scope", [""])[0]
            service.asked.append((scope, who.partition(":")[0]))
            if who not in service.users:
                self._answer(401, {"errors": [{"code": "UNAUTHORIZED"}]})
                return
            granted = _grant(scope, service.users[who])
            token = _sign(key, certificate, who.partition(":")[0], granted, service.lifetime)
            service.granted.append(token)
            self._answer(200, {"token": token, "expires_in": service.lifetime})

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            raw = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = TokenService(f"http://127.0.0.1:{server.server_address[1]}/token", pem, users, lifetime)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _grant(scope: str, allowed: frozenset[str]) -> list[dict[str, Any]]:
    if not scope:
        return []
    kind, name, actions = scope.split(":")
    return [{"type": kind, "name": name, "actions": sorted(allowed & set(actions.split(",")))}]


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(hours=1))
    return builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())


def _sign(
    key: rsa.RSAPrivateKey, certificate: x509.Certificate, who: str, granted: list[dict[str, Any]], lifetime: int
) -> str:
    now = int(time.time())
    der = certificate.public_bytes(serialization.Encoding.DER)
    header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
    times = {"iat": now, "nbf": now - 1, "exp": now + lifetime}
    claims = {"iss": ISSUER, "aud": SERVICE, "sub": who, "jti": uuid.uuid4().hex, "access": granted, **times}
    signed = f"{_encode(header)}.{_encode(claims)}"
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_base64url(signature)}"


def _encode(document: dict[str, Any]) -> str:
    return _base64url(json.dumps(document).encode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
