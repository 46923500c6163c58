"""The whole life of an image, and then every word that was written on the way: no secret is among them.

What holds a secret, because it must, is written down here, place by place.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import httpx
import pytest

from bootpress.stack import sample_image
from bootpress.stack.home import Home
from bootpress.stack.ui import sign_in_pages
from tests.support.postgres import Cluster
from tests.support.registry import running_registry
from tests.support.running_stack import running_stack
from tests.support.secret_life import SecretScenario, live
from tests.support.secret_search import Search, files_below, odd, prefects_answers, processes
from tests.support.token_service import running_token_service

RELAY = "environment of relay, a child of up"
ALLOWED = {
    ("admin token", "file home/admin.token"): "mode 0600; endpoints.json names it to whoever may read the home",
    ("encryption key", "file home/encryption.key"): "mode 0600; what the catalog is decrypted with",
    (
        "registry password",
        "Prefect, with its secrets: block_documents",
    ): "where connections are kept, encrypted at rest;"
    " whoever may ask for this may start anything anyway, so Prefect listens on loopback and wants its password",
    ("Prefect's password", "environment of prefect"): "it checks it",
    ("Prefect's password", "environment of api"): "it calls Prefect",
    ("Prefect's password", "environment of worker"): "it calls Prefect",
    ("Prefect's password", RELAY): "it calls Prefect",
}
"""Which secret may be where, and why."""
ALLOWED_WITH_SQLITE = {
    ("Prefect's password", "file home/prefect.auth"): "mode 0600; what the server and all of ours are given at a start",
}
"""The same for a password that the home made."""
ALLOWED_WITH_POSTGRESQL = {
    ("Prefect's password", "environment of up"): "the operator gave it there",
    ("catalog's password", "environment of up"): "the operator gave it there",
    ("catalog's password", "environment of api"): "it reads and writes the catalog",
    ("catalog's password", "environment of worker"): "it reads and writes the catalog",
    ("catalog's password", RELAY): "it reads and writes the catalog",
    ("password of Prefect's database", "environment of up"): "the operator gave it there",
    ("password of Prefect's database", "environment of prefect"): "it reads and writes its database",
}
"""The same for what only an operator's own password and databases with a password have."""


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
        return Databases(allowed=ALLOWED_WITH_SQLITE)
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    passwords = {"catalog's password": odd(), "password of Prefect's database": odd()}
    ours, prefects = [cluster.create_database(password=password) for password in passwords.values()]
    known = passwords | {"Prefect's password": f"admin:{secrets.token_hex()}"}

    def read() -> Iterator[tuple[str, bytes]]:
        for whose, url, busy in (("catalog", ours, "webhook_deliveries"), ("Prefect", prefects, "flow_run")):
            content = dict(cluster.read_tables(url))
            assert len(content[busy]) > 1000
            yield from ((f"table {name} of {whose}", rows) for name, rows in content.items())
        yield "log of PostgreSQL", cluster.program.output.encode()

    environment = {
        "BOOTPRESS_DATABASE_URL": ours,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": prefects.replace("+psycopg", "+asyncpg"),
        "PREFECT_SERVER_API_AUTH_STRING": known["Prefect's password"],
    }
    return Databases(environment, known, ALLOWED_WITH_POSTGRESQL, read)


@pytest.mark.part("docker-registry")
@pytest.mark.timeout(300)
def test_no_secret_is_written_anywhere_in_the_whole_life_of_an_image(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tuple((title, media_type, sample_image.MIB) for title, media_type, _ in sample_image.LAYERS)
    monkeypatch.setattr(sample_image, "LAYERS", small)
    known = {"registry password": odd(), "wrong password": odd()}
    known |= databases.secrets
    environment = databases.environment | {
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
            if "Prefect's password" not in known:
                known["Prefect's password"] = stack.prefect_auth_string
            life = SecretScenario(stack, elsewhere, known)
            live(life, service, registry)
            sign_in(life)
            known |= {f"registry token {number}": token for number, token in enumerate(service.granted)}
            search = Search(known)
            found = places_of(search, [everything(life), written(watched, databases)])
        after = places_of(search, [written(watched, databases)])
    allowed = ALLOWED | databases.allowed
    # Relay ends by itself, soon after the start.
    assert found | {one for one in allowed if one[1] == RELAY} == allowed.keys()
    assert after <= allowed.keys()


def sign_in(life: SecretScenario) -> None:
    """Sign a browser in at both pages, and leave a code of each that nobody takes."""
    taken, left = [sign_in_pages(Home(life.stack.home)) for _ in range(2)]
    for page in taken:
        life.kept.append((f"second answer of {page.name}", [httpx.get(page.address) for _ in range(2)][1].content))
    for when, pages in (("taken", taken), ("left", left)):
        life.secrets |= {f"code of {one.name}, {when}": httpx.URL(one.address).params["code"] for one in pages}


def places_of(search: Search, pieces: Iterable[Iterable[tuple[str, bytes]]]) -> set[tuple[str, str]]:
    """Return which secret is at which place."""
    return {(name, place) for place, content in chain.from_iterable(pieces) for name in search.within(content)}


def written(folder: Path, databases: Databases) -> Iterator[tuple[str, bytes]]:
    """Yield all that was written, piece by piece, each with its place."""
    for path, content in files_below(folder):
        yield f"file {path}", content
    yield from databases.read()


def everything(life: SecretScenario) -> Iterator[tuple[str, bytes]]:
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
