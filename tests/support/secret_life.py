"""The life of one image in which every secret is given, used and taken away again."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.oci import OciRegistries
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from bootpress.stack import sample_image
from tests.support.running_stack import Stack
from tests.support.token_service import TokenService

READER = ["system.disk_image_publications.read", "system.node_platforms.read"]
READS: dict[str, dict[str, Any]] = {
    "list_api_tokens": {},
    "recent_events": {"limit": 500},
    "system_list_connections": {},
    "system_list_disk_image_deliveries": {"limit": 500},
    "system_list_disk_image_publications": {"node_platform_id": "secret", "limit": 500},
    "system_list_disk_image_webhooks": {},
    "system_list_node_platforms": {},
    "system_get_node_platform": {"id": "secret"},
    "system_preview_disk_image_retention": {"node_platform_id": "secret"},
}


@dataclass
class SecretScenario:
    """One image's life on a stack, and the secrets that were given and taken on the way."""

    stack: Stack
    folder: Path
    secrets: dict[str, str]
    kept: list[tuple[str, bytes]] = field(default_factory=list)
    """What was answered, but for the answers that show a secret this once."""

    def call(self, name: str, /, *, shows: str | None = None, status: int = 200, key: str = "", **fields: Any) -> Any:
        """Call an operation; `shows` is the field of its answer that holds a secret."""
        headers = {"Authorization": f"Bearer {self.secrets['admin token']}"} | ({"Idempotency-Key": key} if key else {})
        url = f"{self.stack.endpoints['api_url']}/api/v1/operations/{name}"
        answer = httpx.post(url, json=fields, headers=headers, timeout=60)
        assert answer.status_code == status, answer.text
        found = answer.json()
        shown = {**found, shows: None} if shows else found
        self.kept.append((f"answer of {name}", json.dumps([shown, dict(answer.headers)]).encode()))
        return found

    def announce(self, webhook: dict[str, Any], **said: Any) -> str:
        """Post a signed delivery and return its id."""
        answer = self.stack.announce(webhook, **said)
        self.kept.append(("answer to a delivery", answer.content))
        signature = answer.request.headers["X-Hub-Signature-256"].removeprefix("sha256=")
        self.secrets[f"signature {len(self.secrets)}"] = signature
        return str(answer.json()["delivery_id"])


@dataclass(frozen=True, slots=True)
class LoggedIn(sample_image.SampleImageBuilder):
    """A workshop whose registry wants a password."""

    password: str

    @property
    def _connection(self) -> RegistryConnection:
        return RegistryConnection("secrets", self.repository.host, username="ci", token=self.password)


def live(life: SecretScenario, service: TokenService, registry: str) -> None:
    """Do everything that an operator and a pipeline do with secrets."""
    home = life.stack.home
    life.secrets["admin token"] = (home / "admin.token").read_text().strip()
    life.secrets["encryption key"] = (home / "encryption.key").read_text().strip()
    key, repository = SigningKey.create(), Repository(registry, "os/secret")
    connect(life, registry)
    for slug in ("secret", "late"):
        life.call(
            "system_create_node_platform",
            slug=slug,
            arch="amd64",
            oci_repository=f"{registry}/os/{slug}",
            trust={"mode": "keys", "public_keys": [key.public_pem]},
            registry="secrets",
        )
    minted = life.call("create_api_token", name="reader", permissions=READER, key="mint", shows="token")
    life.secrets["minted token"] = minted["token"]
    assert life.call("create_api_token", name="reader", permissions=READER, key="mint")["token"] is None
    webhook = rotated_webhook(life)
    with closing(OciRegistries()) as registries:
        workshop = LoggedIn(life.folder, repository, registries, life.secrets["registry password"])
        publish_reject_promote_retain(life, workshop, key, webhook, service)
    visit_console(life)
    life.call("revoke_api_token", id=minted["token_id"])
    life.call("system_revoke_disk_image_webhook", webhook_id=webhook["webhook_id"])
    for name, fields in READS.items():
        life.call(name, **fields)


def connect(life: SecretScenario, registry: str) -> None:
    """Connect a registry: with a wrong password, with the right one, and the same once more."""
    connection: dict[str, Any] = {"name": "secrets", "host": registry, "username": "ci"}
    life.call("system_connect_registry", **connection, token=life.secrets["wrong password"], status=503)
    misspelt: dict[str, Any] = {"passwort": life.secrets["registry password"]}
    life.call("system_connect_registry", **connection, **misspelt, status=422)
    for _ in range(2):
        life.call("system_connect_registry", **connection, token=life.secrets["registry password"], key="connect")


def rotated_webhook(life: SecretScenario) -> dict[str, Any]:
    """Provision a webhook and rotate its secret, the old one held for a while."""
    webhook: dict[str, Any] = life.call(
        "provision_disk_image_webhook", label="secret", key="provision", shows="webhook_secret"
    )
    life.secrets["first webhook secret"] = webhook["webhook_secret"]
    rotate = {"webhook_id": webhook["webhook_id"], "overlap_minutes": 10}
    rotated = life.call("system_rotate_disk_image_webhook_secret", **rotate, key="rotate", shows="webhook_secret")
    life.secrets["second webhook secret"] = rotated["webhook_secret"]
    assert life.call("system_rotate_disk_image_webhook_secret", **rotate, key="rotate")["webhook_secret"] is None
    return webhook | {"webhook_secret": rotated["webhook_secret"]}


def publish_reject_promote_retain(
    life: SecretScenario, workshop: LoggedIn, key: SigningKey, webhook: dict[str, Any], service: TokenService
) -> None:
    """Publish two images, have one rejected, and one whose registry does not let us in any more."""
    publications = []
    for tag in ("good", "better", "unsigned"):
        image = workshop.push(tag, lambda _: None)
        if tag != "unsigned":
            workshop.sign(key, image)
        delivery_id = life.announce(webhook, platform_slug="secret", oci_ref=f"{workshop.repository}:{tag}")
        delivery = life.stack.wait_for({delivery_id}, seconds=60)[delivery_id]
        publications.append(delivery["publication_id"])
        assert delivery["status"] == ("failed" if tag == "unsigned" else "done"), delivery
    first, second, _ = publications
    life.call("system_set_default_disk_image_publication", publication_id=second)
    life.call("system_set_disk_image_retention", node_platform_id="secret", retention_count=1)
    life.call("system_sweep_disk_image_retention", node_platform_id="secret")
    life.call("system_restore_disk_image_publication", publication_id=first)
    service.users = {}
    late = life.announce(webhook, platform_slug="late", oci_ref=f"{workshop.repository.host}/os/late:good")
    life.stack.program.wait_until(
        lambda: bool(life.stack.deliveries()[late]["error_message"]), what="the registry refuses us", seconds=60
    )


def visit_console(life: SecretScenario) -> None:
    """Log in with a wrong token and with the right one, read a page, log out."""
    url = life.stack.endpoints["api_url"]
    with httpx.Client(base_url=url, headers={"Sec-Fetch-Site": "same-origin"}) as browser:
        wrong = browser.post("/app/login", data={"token": life.secrets["wrong password"]})
        good = browser.post("/app/login", data={"token": life.secrets["minted token"]})
        assert (wrong.status_code, good.status_code) == (401, 303)
        life.secrets["console session"] = browser.cookies["bootpress_session"]
        page = browser.get("/app/publications?platform=secret")
        left = browser.post("/app/logout", data={})
        life.kept += [("page of the console", answer.content) for answer in (wrong, page, left)]
