"""Connections as Prefect blocks: the port on a real server, beside the class that describes them in its UI."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from contextlib import closing

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.block_documents import KEPT_SECONDS, document_name
from bootpress.adapters.prefect_api.connections import PrefectConnections
from bootpress.core.errors import OrchestratorUnavailable
from bootpress.core.ports import RegistryConnection
from tests.support.ports import free_port
from tests.support.prefect_server import PrefectServer
from tests.support.prefect_worker import ROOT
from tests.support.scripted_server import ScriptedServer

SECRET = "s3cret-token-of-the-registry"


@pytest.fixture(scope="session")
def _blocks(server: PrefectServer) -> None:
    run(server, "from blocks import register_blocks; register_blocks()")


pytestmark = pytest.mark.usefixtures("_blocks")


def run(server: PrefectServer, code: str) -> str:
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, env=server.environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def connection(name: str = "default", *, host: str = "registry.example:5000") -> RegistryConnection:
    return RegistryConnection(name=name, host=host, username="robot", token=SECRET, plain_http=True)


def test_what_was_saved_is_found_with_its_secret(api: PrefectApi) -> None:
    account = uuid.uuid4()
    PrefectConnections(api).save_registry(account, connection())

    assert PrefectConnections(api).find_registry(account, "default") == connection()


def test_a_connection_without_a_credential_has_none(api: PrefectApi) -> None:
    account = uuid.uuid4()
    anonymous = RegistryConnection(name="open", host="registry.example")
    PrefectConnections(api).save_registry(account, anonymous)

    assert PrefectConnections(api).find_registry(account, "open") == anonymous


def test_saving_again_replaces_everything_and_is_seen_at_once(api: PrefectApi) -> None:
    account = uuid.uuid4()
    connections = PrefectConnections(api)
    connections.save_registry(account, connection())
    assert connections.find_registry(account, "default") == connection()

    anonymous = RegistryConnection(name="default", host="other.example")
    connections.save_registry(account, anonymous)

    assert connections.find_registry(account, "default") == anonymous


def test_connections_are_listed_by_name_and_of_this_account_alone(api: PrefectApi) -> None:
    account, other = uuid.uuid4(), uuid.uuid4()
    connections = PrefectConnections(api)
    for name in ("zeta", "default", "alpha-2"):
        connections.save_registry(account, connection(name))
    connections.save_registry(other, connection("theirs"))

    assert [one.name for one in connections.list_registries(account)] == ["alpha-2", "default", "zeta"]
    assert connections.find_registry(account, "theirs") is None
    assert connections.list_registries(uuid.uuid4()) == ()


def test_what_another_process_changed_is_seen_after_fifteen_seconds(api: PrefectApi) -> None:
    account, now = uuid.uuid4(), [0.0]
    connections = PrefectConnections(api, monotonic=lambda: now[0])
    PrefectConnections(api).save_registry(account, connection())
    assert connections.find_registry(account, "default") == connection()

    PrefectConnections(api).save_registry(account, connection(host="moved.example"))

    now[0] = KEPT_SECONDS - 1
    assert connections.find_registry(account, "default") == connection()
    now[0] = KEPT_SECONDS + 1
    assert connections.find_registry(account, "default") == connection(host="moved.example")


def test_a_connection_that_another_process_made_is_found_at_once(api: PrefectApi) -> None:
    account = uuid.uuid4()
    connections = PrefectConnections(api, monotonic=lambda: 0.0)
    assert connections.find_registry(account, "default") is None

    PrefectConnections(api).save_registry(account, connection())

    assert connections.list_registries(account) == ()
    assert connections.find_registry(account, "default") == connection()
    assert connections.list_registries(account) == (connection(),)


def test_the_secret_is_shown_by_no_repr_and_by_no_ordinary_answer_of_prefect(api: PrefectApi) -> None:
    account = uuid.uuid4()
    connections = PrefectConnections(api)
    connections.save_registry(account, connection())
    found = connections.list_registries(account)
    name = document_name(account, "default")

    shown = api.get(f"/block_types/slug/ociregistry/block_documents/name/{name}")

    assert SECRET not in repr(found)
    assert SECRET not in repr(vars(connections))
    assert shown["data"]["host"] == "registry.example:5000"
    assert SECRET not in repr(shown)


def test_the_block_class_reads_the_same_document(api: PrefectApi, server: PrefectServer) -> None:
    account = uuid.uuid4()
    PrefectConnections(api).save_registry(account, connection())

    code = f"from blocks import OciRegistry; b = OciRegistry.load({document_name(account, 'default')!r}); "
    shown = run(server, code + "c = b.connection('default'); print(b, c, c.token == b.token.get_secret_value())")

    assert "registry.example:5000" in shown
    assert shown.rstrip().endswith("True")
    assert SECRET not in shown


def test_threads_that_save_and_read_at_once_lose_nothing(api: PrefectApi) -> None:
    account = uuid.uuid4()
    connections = PrefectConnections(api)
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            connections.save_registry(account, connection(f"name-{number}"))
            assert connections.find_registry(account, f"name-{number}") is not None
        except Exception as error:  # noqa: BLE001 - the test shows whatever it was
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(connections.list_registries(account)) == 6


def test_threads_that_save_one_connection_at_once_all_succeed(api: PrefectApi) -> None:
    account = uuid.uuid4()
    begin = threading.Barrier(4)
    errors: list[Exception] = []

    def save(number: int) -> None:
        begin.wait()
        try:
            PrefectConnections(api).save_registry(account, connection(host=f"host-{number}.example"))
        except Exception as error:  # noqa: BLE001 - the test shows whatever it was
            errors.append(error)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(PrefectConnections(api).list_registries(account)) == 1


def test_a_save_whose_answer_was_lost_is_found_to_have_happened() -> None:
    prefect = ScriptedServer()
    prefect.answers = [
        (404, b"{}"),  # no such document
        (200, b'{"id": "type"}'),
        (200, b'[{"id": "schema"}]'),
        (503, b"{}"),  # the document is made, and nobody is told
        (409, b"{}"),
        (200, b'{"id": "document"}'),
        (204, b""),
    ]
    with closing(prefect), closing(PrefectApi(prefect.url)) as scripted:
        PrefectConnections(scripted).save_registry(uuid.uuid4(), connection())
    method, path, _, body = prefect.seen[-1]
    assert (method, path) == ("PATCH", "/api/block_documents/document")
    assert SECRET.encode() in body


def test_a_store_that_is_away_is_unavailable_and_never_empty() -> None:
    connections = PrefectConnections(PrefectApi(f"http://127.0.0.1:{free_port()}/api"))

    with pytest.raises(OrchestratorUnavailable):
        connections.find_registry(uuid.uuid4(), "default")
    with pytest.raises(OrchestratorUnavailable):
        connections.save_registry(uuid.uuid4(), connection())
