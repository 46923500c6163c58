"""The HTTP door on a real server: uvicorn on a thread, a real catalog behind it, fakes where the orchestrator is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from cryptography.fernet import Fernet

from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.adapters.oci import OciRegistries
from bootpress.core.accounts import service as accounts
from bootpress.core.context import Context
from bootpress.core.encryption import SecretCipher
from bootpress.core.ports import Connections
from bootpress.core.rate_limit import RateLimiter
from bootpress.entrypoints.api.app import create_app
from bootpress.entrypoints.api.http_protocol import ConnectionLimits
from bootpress.entrypoints.api.server import server
from bootpress.settings import Settings
from bootpress.wiring import limits
from tests.support.databases import open_catalog
from tests.support.fake_forge import FakeForges, FakeRunnerHosts
from tests.support.fakes import FakeConnections, FakeEventSink, FakeLauncher, RealClock

PUBLIC_URL = "https://press.example.org"
EC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt
6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==
-----END PUBLIC KEY-----
"""
"""The example key of RFC 5480's curve P-256; nobody signs with it here."""


@dataclass(frozen=True)
class ApiServer:
    """A running API and what a test needs to look behind it."""

    context: Context
    http: httpx.Client
    account_id: UUID
    token: str
    launcher: FakeLauncher
    sink: FakeEventSink
    settings: Settings
    port: int
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def mint(self, *permissions: str, account: str = "default") -> str:
        """Mint a token in an account, which is made if there is none."""
        account_id = accounts.create_account(self.context, account)
        return accounts.create_token(self.context, account_id=account_id, name="somebody", permissions=permissions)[1]

    def call(
        self, name: str, fields: Any = None, /, *, token: str | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Call an operation with the admin's token, or another."""
        sent = {"Authorization": f"Bearer {token or self.token}", **(headers or {})}
        return self.http.post(f"/api/v1/operations/{name}", json=fields or {}, headers=sent)

    def called(self, name: str, /, **fields: Any) -> dict[str, Any]:
        """Call an operation that must succeed; return its answer."""
        answer = self.call(name, fields)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def provision(self, label: str = "ci") -> WebhookClient:
        """Provision a webhook."""
        made = self.called("provision_disk_image_webhook", label=label)
        return WebhookClient(self, made["webhook_id"], made["webhook_secret"])

    def create_platform(self, slug: str = "edge", **fields: Any) -> dict[str, Any]:
        """Create a platform that trusts a key."""
        values = {
            "slug": slug,
            "arch": "amd64",
            "oci_repository": f"registry.example.org/os/{slug}",
            "trust": {"mode": "keys", "public_keys": [EC_KEY]},
        }
        platform: dict[str, Any] = self.called("system_create_node_platform", **(values | fields))["node_platform"]
        return platform


@dataclass(frozen=True)
class WebhookClient:
    """A webhook, and how its pipeline rings it."""

    press: ApiServer
    webhook_id: str
    secret: str

    @property
    def path(self) -> str:
        return f"/api/v1/system/webhooks/disk_image/built/{self.webhook_id}"

    def sign(self, body: bytes) -> bytes:
        return hmac.digest(self.secret.encode(), body, hashlib.sha256)

    def ring(self, fields: Any = None, *, body: bytes | None = None, **headers: str) -> httpx.Response:
        """Post a body, signed as the tutorial's workflow does; `headers` replace (empty: leave away), `_` for `-`."""
        body = body if body is not None else json.dumps(announcement() if fields is None else fields).encode()
        sent = {
            "Content-Type": "application/json",
            "X-Powernode-Signature": base64.b64encode(self.sign(body)).decode(),
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.press.http.post(
            self.path, content=body, headers={name: value for name, value in sent.items() if value}
        )


def announcement(**fields: Any) -> dict[str, Any]:
    """Return a body that is good."""
    return {"platform_slug": "edge", "oci_ref": "registry.example.org/os/edge:main"} | fields


@contextmanager
def running_press(
    database_url: str,
    *,
    token_rates: RateLimiter | None = None,
    account_rates: RateLimiter | None = None,
    connections: Connections | None = None,
    bounds: ConnectionLimits | None = None,
    **settings: Any,
) -> Iterator[ApiServer]:
    """Serve the API on a free port of this machine, with an admin's token for the account `default`."""
    key = Fernet.generate_key().decode()
    chosen = Settings(database_url=database_url, encryption_key=key, **settings)
    catalog = open_catalog(database_url)
    registries = OciRegistries()
    launcher, sink = FakeLauncher(), FakeEventSink()
    context = Context(
        catalog=catalog,
        clock=RealClock(),
        secrets=SecretCipher(chosen.encryption_keys),
        verifier=CosignVerifier(),
        registries=registries,
        forges=FakeForges(),
        runner_hosts=FakeRunnerHosts(),
        connections=connections or FakeConnections(),
        launcher=launcher,
        event_sink=sink,
        public_url=PUBLIC_URL,
        limits=limits(chosen),
    )
    account_id = accounts.create_account(context, "default")
    _, token = accounts.create_token(context, account_id=account_id, name="admin", permissions=["*"])
    # Tests call faster than a person; the default is tested in tests/integration/api/test_defaults.py.
    rates = token_rates or RateLimiter(rate=10_000, burst=10_000)
    with (
        serving(context, chosen, rates, bounds, account_rates) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        yield ApiServer(context, http, account_id, token, launcher, sink, chosen, port)
    registries.close()
    catalog.close()


@contextmanager
def serving(
    context: Context,
    settings: Settings,
    rates: RateLimiter,
    bounds: ConnectionLimits | None = None,
    account_rates: RateLimiter | None = None,
) -> Iterator[int]:
    """Serve a context on a free port of this machine; yield the port."""
    together = account_rates or RateLimiter(rate=10_000, burst=10_000)
    app = create_app(context, settings=settings, token_rates=rates, account_rates=together)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        running = server(app, host="127.0.0.1", port=port, trusted_proxies=settings.trusted_proxies, bounds=bounds)
        thread = threading.Thread(target=running.run, args=([listener],), name="uvicorn")
        thread.start()
        try:
            yield port
        finally:
            running.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
