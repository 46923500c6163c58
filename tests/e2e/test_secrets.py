"""The whole life of an image, and then every word that was written on the way: no secret is among them.

What holds a secret, because it must, is written down here, place by place.
"""

from __future__ import annotations

import base64
import json
import secrets
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import URL, make_url

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.oci import OciRegistries
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from bootpress.stack import sample_image
from tests.support.postgres import Cluster
from tests.support.registry import running_registry
from tests.support.running_stack import Stack, running_stack
from tests.support.secret_search import Search, files_below, processes
from tests.support.token_service import TokenService, running_token_service

RELAY = "environment of relay, a child of up"
ALLOWED = {
    ("admin token", "file home/admin.token"): "mode 0600; endpoints.json names it to whoever may read the home",
    ("encryption key", "file home/encryption.key"): "mode 0600; what the catalog is decrypted with",
    (
        "registry password",
        "Prefect, with its secrets: block_documents",
    ): "where connections are kept, encrypted at rest;"
    " whoever may ask for this may start anything anyway, so Prefect listens on loopback and wants its password",
    ("Prefect's password", "environment of up"): "the operator gave it there",
    ("Prefect's password", "environment of prefect"): "it checks it",
    ("Prefect's password", "environment of api"): "it calls Prefect",
    ("Prefect's password", "environment of worker"): "it calls Prefect",
    ("Prefect's password", RELAY): "it calls Prefect",
}
"""Which secret may be where, and why."""
ALLOWED_WITH_POSTGRESQL = {
    ("catalog's password", "environment of up"): "the operator gave it there",
    ("catalog's password", "environment of api"): "it reads and writes the catalog",
    ("catalog's password", "environment of worker"): "it reads and writes the catalog",
    ("catalog's password", RELAY): "it reads and writes the catalog",
    ("password of Prefect's database", "environment of up"): "the operator gave it there",
    ("password of Prefect's database", "environment of prefect"): "it reads and writes its database",
}
"""The same for what only databases with a password have."""
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
PREFECT = (
    "artifacts",
    "automations",
    "block_documents",
    "block_schemas",
    "block_types",
    "concurrency_limits",
    "deployments",
    "flow_runs",
    "flows",
    "logs",
    "task_runs",
    "v2/concurrency_limits",
    "variables",
    "work_pools",
    "work_queues",
)
PAGE = 200
USERS = ("", "c", "ci", "ci:")


def odd(length: int = 16) -> str:
    """Return a secret that looks different in JSON, in a URL and in a shell."""
    return f'q"\\/+ %25é{secrets.token_urlsafe(length)}'


@dataclass
class Life:
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
class Databases:
    """Where a stack is to keep what it writes, and how to read it there."""

    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    allowed: dict[tuple[str, str], str] = field(default_factory=dict)
    read: Callable[[], Iterable[tuple[str, bytes]]] = tuple
    """Returns all that lies in no file of the home."""


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Return the two databases of a stack: files of its home, and once more PostgreSQL's with a password each."""
    if request.param == "sqlite":
        return Databases()
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    known = {"catalog's password": odd(), "password of Prefect's database": odd()}
    ours, prefects = [cluster.create_database(password=password) for password in known.values()]

    def read() -> Iterator[tuple[str, bytes]]:
        for whose, url, busy in (("catalog", ours, "webhook_deliveries"), ("Prefect", prefects, "flow_run")):
            content = dict(cluster.read_tables(url))
            assert len(content[busy]) > 1000
            yield from ((f"table {name} of {whose}", rows) for name, rows in content.items())
        yield "log of PostgreSQL", cluster.program.output.encode()

    environment = {
        "BOOTPRESS_DATABASE_URL": ours,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefects.replace("+psycopg", "+asyncpg"),
    }
    return Databases(environment, known, ALLOWED_WITH_POSTGRESQL, read)


@dataclass(frozen=True, slots=True)
class LoggedIn(sample_image.Workshop):
    """A workshop whose registry wants a password."""

    password: str

    @property
    def _connection(self) -> RegistryConnection:
        return RegistryConnection("secrets", self.repository.host, username="ci", token=self.password)


@pytest.mark.parametrize(
    "written",
    [
        lambda secret: f"password={secret}",
        lambda secret: json.dumps({"password": secret}),
        lambda secret: json.dumps(json.dumps({"password": secret})),
        lambda secret: repr([secret]),
        lambda secret: repr({"body": secret.encode()}),
        lambda secret: f"https://host/?{urllib.parse.urlencode({'token': secret})}",
        lambda secret: f"https://ci:{urllib.parse.quote(secret, safe='')}@host/",
        lambda secret: URL.create("postgresql", "ci", secret, "host").render_as_string(hide_password=False),
        lambda secret: secret.encode().hex(),
        *[lambda secret, before=before: base64.b64encode(f"{before}{secret}:".encode()).decode() for before in USERS],
    ],
)
def test_a_secret_is_found_however_it_is_written(written: Callable[[str], str]) -> None:
    secret = odd()
    search = Search({"the one": secret, "another": odd()})
    assert search.within(written(secret).encode()) == ["the one"]
    assert search.within(written(odd()).encode()) == []


@pytest.mark.part("postgresql")
def test_a_secret_in_a_table_is_found_whatever_its_column(postgres_cluster: Cluster) -> None:
    known, url = {form: odd() for form in ("text", "jsonb", "bytea")}, postgres_cluster.create_database()
    values = [known["text"], json.dumps({"a": known["jsonb"]}), known["bytea"].encode()]
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)) as session:
        session.execute("CREATE TABLE kept (one text, two jsonb, three bytea)")
        session.execute("INSERT INTO kept VALUES (%s, %s, %s)", values)
    [(name, rows)] = postgres_cluster.read_tables(url)
    assert name == "kept"
    assert Search(known | {"another": odd()}).within(rows) == list(known)


@pytest.mark.part("docker-registry")
@pytest.mark.timeout(300)
def test_no_secret_is_written_anywhere_in_the_whole_life_of_an_image(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tuple((title, media_type, sample_image.MIB) for title, media_type, _ in sample_image.LAYERS)
    monkeypatch.setattr(sample_image, "LAYERS", small)
    known = {"registry password": odd(), "wrong password": odd(), "Prefect's password": f"admin:{secrets.token_hex()}"}
    known |= databases.secrets
    environment = databases.environment | {
        "PREFECT_SERVER_API_AUTH_STRING": known["Prefect's password"],
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "bootpress",
    }
    watched, elsewhere = tmp_path / "watched", tmp_path / "elsewhere"
    watched.mkdir()
    elsewhere.mkdir()
    with ExitStack() as parts:
        users = {f"ci:{known['registry password']}": frozenset({"pull", "push", "delete"})}
        service = parts.enter_context(running_token_service(elsewhere, users))
        registry = parts.enter_context(running_registry(elsewhere / "registry", auth=service.auth))
        with running_stack(watched / "home", environment) as stack:
            life = Life(stack, elsewhere, known)
            live(life, service, registry)
            known |= {f"registry token {number}": token for number, token in enumerate(service.granted)}
            search = Search(known)
            found = places_of(search, [everything(life), written(watched, databases)])
        after = places_of(search, [written(watched, databases)])
    allowed = ALLOWED | databases.allowed
    # Relay ends by itself, soon after the start.
    assert found | {one for one in allowed if one[1] == RELAY} == allowed.keys()
    assert after <= allowed.keys()


def live(life: Life, service: TokenService, registry: str) -> None:
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


def connect(life: Life, registry: str) -> None:
    """Connect a registry: with a wrong password, with the right one, and the same once more."""
    connection: dict[str, Any] = {"name": "secrets", "host": registry, "username": "ci"}
    life.call("system_connect_registry", **connection, token=life.secrets["wrong password"], status=503)
    misspelt: dict[str, Any] = {"passwort": life.secrets["registry password"]}
    life.call("system_connect_registry", **connection, **misspelt, status=422)
    for _ in range(2):
        life.call("system_connect_registry", **connection, token=life.secrets["registry password"], key="connect")


def rotated_webhook(life: Life) -> dict[str, Any]:
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
    life: Life, workshop: LoggedIn, key: SigningKey, webhook: dict[str, Any], service: TokenService
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


def visit_console(life: Life) -> None:
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


def places_of(search: Search, pieces: Iterable[Iterable[tuple[str, bytes]]]) -> set[tuple[str, str]]:
    """Return which secret is at which place."""
    return {(name, place) for place, content in chain.from_iterable(pieces) for name in search.within(content)}


def written(folder: Path, databases: Databases) -> Iterator[tuple[str, bytes]]:
    """Yield all that was written, piece by piece, each with its place."""
    for path, content in files_below(folder):
        yield f"file {path}", content
    yield from databases.read()


def everything(life: Life) -> Iterator[tuple[str, bytes]]:
    """Yield all that was answered and all that is told, piece by piece, each with its place."""
    yield from life.kept
    endpoints = json.loads((life.stack.home / "endpoints.json").read_text())
    yield from processes({pid: name for name, pid in endpoints["pids"].items()})
    user, _, password = life.secrets["Prefect's password"].partition(":")
    with httpx.Client(base_url=f"{endpoints['prefect_url']}/api/", auth=(user, password), timeout=60) as prefect:
        yield from prefects_answers(prefect)
    with httpx.Client(base_url=endpoints["api_url"], timeout=60) as ours:
        token = {"Authorization": f"Bearer {life.secrets['admin token']}"}
        for path in ("/metrics", "/api/openapi.json", "/api/v1/operations", "/readyz"):
            yield f"answer of {path}", ours.get(path, headers=token).content


def prefects_answers(prefect: httpx.Client) -> Iterator[tuple[str, bytes]]:
    """Yield all that Prefect tells whoever has its password."""
    for kind in PREFECT:
        for content in pages(prefect, f"{kind}/filter", {}):
            yield f"Prefect: {kind}", content
    for content in pages(prefect, "block_documents/filter", {"include_secrets": True}):
        yield "Prefect, with its secrets: block_documents", content
    for path in ("admin/settings", "admin/version"):
        yield f"Prefect: {path}", prefect.get(path).raise_for_status().content
    answer = prefect.post("events/filter", json={"limit": 50}).raise_for_status()
    for _ in range(100):
        yield "Prefect: events", answer.content
        following = answer.json()["next_page"]
        if not following:
            return
        answer = prefect.get(following).raise_for_status()
    raise AssertionError("more events than anybody counted on")


def pages(prefect: httpx.Client, path: str, asked: dict[str, Any]) -> Iterator[bytes]:
    """Yield the pages of a filter; what a kind has no offset for comes in one."""
    for offset in range(0, 100 * PAGE, PAGE):
        answer = prefect.post(path, json={**asked, "limit": PAGE, "offset": offset}).raise_for_status()
        yield answer.content
        if len(answer.json()) < PAGE:
            return
