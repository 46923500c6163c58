"""Operations over HTTP: who may call, what is refused and how, what a repeat gets (CONTRACT: Operations)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from bootpress.core.operation_registry import OPERATIONS
from bootpress.core.ports import RegistryConnection
from bootpress.core.rate_limit import RateLimiter
from tests.integration.api.test_webhook import is_problem
from tests.support.api import EC_KEY, PUBLIC_URL, ApiServer, announcement, running_press
from tests.support.fakes import FakeConnections, eventually


def test_an_operation_answers_with_its_model(press: ApiServer) -> None:
    made = press.called("provision_disk_image_webhook", label="ci")
    assert made["action"] == "created"
    assert made["webhook_url"] == f"{PUBLIC_URL}/api/v1/system/webhooks/disk_image/built/{made['webhook_id']}"
    listed = press.called("system_list_disk_image_webhooks")["webhooks"]
    assert [(one["id"], one["status"], one["received_count"]) for one in listed] == [(made["webhook_id"], "active", 0)]
    assert made["webhook_secret"] not in json.dumps(listed)


def test_an_empty_body_is_an_empty_object(shared: ApiServer) -> None:
    headers = {"Authorization": f"Bearer {shared.token}"}
    answer = shared.http.post("/api/v1/operations/system_list_node_platforms", headers=headers)
    assert answer.json() == {"next_cursor": None, "node_platforms": []}
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("value", [None, "Bearer", "Bearer bp_wrong", "Basic abc", "Bearer " + "x" * 5000])
@pytest.mark.parametrize("path", ["/api/v1/operations", "/api/openapi.json", "/metrics", "/api/v1/operations/nothing"])
def test_without_a_good_token_it_is_401_with_a_challenge(shared: ApiServer, value: str | None, path: str) -> None:
    method = "POST" if path.endswith("nothing") else "GET"
    answer = shared.http.request(method, path, headers={"Authorization": value} if value else {})
    is_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_token_is_401_at_once(press: ApiServer) -> None:
    made = press.called("create_api_token", name="robot", permissions=["system.events.read"])
    assert press.call("recent_events", token=made["token"]).status_code == 200
    press.called("revoke_api_token", id=made["token_id"])
    is_problem(press.call("recent_events", token=made["token"]), 401)


def test_a_missing_permission_is_403_and_named(shared: ApiServer) -> None:
    token = shared.mint("system.events.read")
    problem = is_problem(shared.call("system_list_node_platforms", token=token), 403)
    assert "system.node_platforms.read" in str(problem["detail"])
    assert shared.call("recent_events", token=token).status_code == 200


def test_nobody_mints_a_token_that_may_more_than_his_own(shared: ApiServer) -> None:
    token = shared.mint("system.api_tokens.manage")
    fields = {"name": "more", "permissions": ["system.node_platforms.manage"]}
    is_problem(shared.call("create_api_token", fields, token=token), 403)


def test_another_accounts_id_is_answered_like_an_unknown_one(press: ApiServer) -> None:
    stranger = press.mint("*", account="another")
    platform, bell = press.create_platform(), press.provision()
    for name, field, own in [
        ("system_get_node_platform", "id", platform["id"]),
        ("system_disable_disk_image_webhook", "webhook_id", bell.webhook_id),
        ("system_preview_disk_image_retention", "node_platform_id", platform["id"]),
    ]:
        unknown = str(uuid4())
        foreign = is_problem(press.call(name, {field: own}, token=stranger), 404)
        nothing = is_problem(press.call(name, {field: unknown}, token=stranger), 404)
        assert str(foreign).replace(own, "…") == str(nothing).replace(unknown, "…")
        assert press.call(name, {field: own}).status_code == 200
    assert press.call("system_list_node_platforms", token=stranger).json() == {
        "next_cursor": None,
        "node_platforms": [],
    }


def test_another_account_id_is_404_and_the_own_one_is_accepted(shared: ApiServer) -> None:
    is_problem(shared.call("recent_events", {"account_id": str(uuid4())}), 404)
    assert shared.call("recent_events", {"account_id": str(shared.account_id)}).status_code == 200


def test_an_unknown_field_is_422_with_its_name_and_the_accepted_ones(shared: ApiServer) -> None:
    problem = is_problem(shared.call("recent_events", {"limit": 5, "kindprefix": "system."}), 422)
    assert problem["field"] == "kindprefix"
    assert "kindprefix" in str(problem["detail"])
    assert "kind_prefix, limit, platform, since" in str(problem["hint"])


@pytest.mark.parametrize(
    ("name", "fields", "field"),
    [
        ("recent_events", {"limit": 0}, "limit"),
        ("recent_events", {"limit": 501}, "limit"),
        ("recent_events", {"limit": "many"}, "limit"),
        ("recent_events", {"platform": "a\0b"}, "platform"),
        ("system_get_node_platform", {}, "id"),
        ("system_disable_disk_image_webhook", {"webhook_id": "not-a-uuid"}, "webhook_id"),
        ("system_set_disk_image_retention", {"node_platform_id": "edge", "retention_count": 51}, "retention_count"),
        ("system_set_disk_image_retention", {"node_platform_id": "edge", "retention_count": 2, "x": 1}, "x"),
    ],
)
def test_a_bad_field_is_422_and_named(shared: ApiServer, name: str, fields: dict[str, Any], field: str) -> None:
    assert is_problem(shared.call(name, fields), 422)["field"] == field


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff", b"[" * 200_000, b'{"name": "\\ud800"}'])
def test_what_is_no_json_object_is_400(shared: ApiServer, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {shared.token}"}
    is_problem(shared.http.post("/api/v1/operations/recent_events", content=body, headers=headers), 400)


def test_a_body_over_one_mebibyte_is_413(shared: ApiServer) -> None:
    headers = {"Authorization": f"Bearer {shared.token}"}
    path = "/api/v1/operations/recent_events"
    assert shared.http.post(path, content=b"{}".ljust(2**20), headers=headers).status_code == 200
    is_problem(shared.http.post(path, content=b"{}".ljust(2**20 + 1), headers=headers), 413)


def test_an_unknown_operation_is_404_with_a_hint(shared: ApiServer) -> None:
    assert is_problem(shared.call("recent_event"), 404)["hint"] == "did you mean recent_events?"
    assert "GET /api/v1/operations" in str(is_problem(shared.call("x" * 5000), 404)["hint"])


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", "/api/v1/operations/", "/healthz/"])
def test_an_unknown_path_is_a_problem(shared: ApiServer, path: str) -> None:
    is_problem(shared.http.get(path), 404)


def test_another_method_is_a_problem(shared: ApiServer) -> None:
    is_problem(shared.http.get("/api/v1/operations/recent_events"), 405)
    is_problem(shared.http.delete("/api/v1/operations"), 405)


def test_a_state_that_forbids_it_is_409_and_said(press: ApiServer) -> None:
    bell = press.provision()
    press.called("system_revoke_disk_image_webhook", webhook_id=bell.webhook_id)
    problem = is_problem(press.call("system_enable_disk_image_webhook", {"webhook_id": bell.webhook_id}), 409)
    assert "revoked" in str(problem["detail"])


def test_the_same_slug_twice_is_409_even_at_once(press: ApiServer) -> None:
    fields = {
        "slug": "edge",
        "arch": "amd64",
        "oci_repository": "registry.example.org/os/edge",
        "trust": {"mode": "keys", "public_keys": [EC_KEY]},
    }
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: press.call("system_create_node_platform", fields), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5, [one.text for one in answers]


def test_an_orchestrator_that_is_away_is_503_with_retry_after(press: ApiServer) -> None:
    assert isinstance(press.context.connections, FakeConnections)
    with press.context.connections.switched_off():
        answer = press.call("system_list_connections")
    is_problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1
    assert press.called("system_list_connections") == {"next_cursor": None, "connections": []}


def test_a_registry_that_is_away_is_503(press: ApiServer, free_port: int) -> None:
    is_problem(press.call("system_connect_registry", {"host": f"127.0.0.1:{free_port}"}), 503)
    assert press.called("system_list_connections") == {"next_cursor": None, "connections": []}


class BrokenConnections(FakeConnections):
    """Has a defect that says a secret."""

    def list_registries(self, account_id: object) -> list[RegistryConnection]:
        raise RuntimeError(f"hunter{1 + 1}")  # its source line is logged, its words are not


def test_a_defect_is_500_without_its_words_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    with running_press(url, connections=BrokenConnections()) as press:
        answer = press.call("system_list_connections")
        is_problem(answer, 500)
        assert "hunter2" not in answer.text
        metrics = press.http.get("/metrics", headers={"Authorization": f"Bearer {press.token}"}).text
        assert 'bootpress_operation_calls_total{operation="system_list_connections",status="500"} 1.0' in metrics
        assert press.called("system_list_node_platforms") == {"next_cursor": None, "node_platforms": []}
    assert "RuntimeError" in caplog.text
    assert "in list_registries" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_token_that_calls_too_often_is_429_and_others_are_not(tmp_path: Path) -> None:
    rates = RateLimiter(rate=0.01, burst=3)
    with running_press(f"sqlite:///{tmp_path / 'catalog.db'}", token_rates=rates) as press:
        assert [press.call("recent_events").status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = press.call("recent_events")
        is_problem(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 100
        assert press.call("recent_events", token=press.mint("*")).status_code == 200


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_a_repeat_with_the_same_key_gets_the_first_answer_without_its_secrets(press: ApiServer) -> None:
    first = press.call("provision_disk_image_webhook", {"label": "ci"}, headers=keyed("one"))
    again = press.call("provision_disk_image_webhook", {"label": "ci"}, headers=keyed("one"))
    assert first.json()["webhook_secret"]
    assert again.json() == first.json() | {"webhook_secret": None}
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = press.call("provision_disk_image_webhook", {"label": "ci"}, headers=keyed("two"))
    assert other.json()["action"] == "rotated"


def test_the_same_key_with_another_body_is_422(press: ApiServer) -> None:
    press.call("provision_disk_image_webhook", {"label": "ci"}, headers=keyed("one"))
    problem = is_problem(press.call("provision_disk_image_webhook", {"label": "cd"}, headers=keyed("one")), 422)
    assert problem["field"] == "Idempotency-Key"


def test_a_key_belongs_to_an_account_and_an_operation(press: ApiServer) -> None:
    stranger = press.mint("*", account="another")
    own = press.call("provision_disk_image_webhook", {"label": "ci"}, headers=keyed("one"))
    foreign = press.call("provision_disk_image_webhook", {"label": "ci"}, headers=keyed("one"), token=stranger)
    assert foreign.status_code == 200
    assert foreign.json()["webhook_id"] != own.json()["webhook_id"]
    fields = {"name": "robot", "permissions": ["*"]}
    assert press.call("create_api_token", fields, headers=keyed("one")).status_code == 200


def test_a_call_that_failed_does_not_use_up_its_key(press: ApiServer) -> None:
    name = "system_set_disk_image_retention"
    fields = {"node_platform_id": "edge", "retention_count": 2}
    is_problem(press.call(name, fields, headers=keyed("one")), 404)
    press.create_platform("edge")
    assert press.call(name, fields, headers=keyed("one")).status_code == 200


def test_a_key_on_a_read_changes_nothing(shared: ApiServer) -> None:
    for _ in range(2):
        answer = shared.call("recent_events", headers=keyed("one"))
        assert answer.status_code == 200
        assert "idempotent-replayed" not in answer.headers


def test_one_key_at_once_has_one_effect(press: ApiServer) -> None:
    def provision(_: int) -> httpx.Response:
        return press.call("provision_disk_image_webhook", {"label": "ci"}, headers=keyed("one"))

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(provision, range(12)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert sum(1 for answer in answers if answer.status_code == 200 and answer.json()["webhook_secret"]) == 1
    assert press.called("recent_events", kind_prefix="system.disk_image_webhook_secret_rotated")["events"] == []


def test_events_of_an_operation_are_handed_to_listeners(press: ApiServer) -> None:
    bell = press.provision()
    press.called("system_rotate_disk_image_webhook_secret", webhook_id=bell.webhook_id)
    assert eventually(lambda: bool(press.sink.emitted))
    assert [event.kind for event in press.sink.emitted] == ["system.disk_image_webhook_secret_rotated"]
    recorded = press.called("recent_events")["events"]
    assert recorded[0]["id"] == str(press.sink.emitted[0].id)


def test_the_listing_names_every_operation_with_its_schemas(shared: ApiServer) -> None:
    listing = shared.http.get("/api/v1/operations", headers={"Authorization": f"Bearer {shared.token}"}).json()
    assert [one["name"] for one in listing["operations"]] == sorted(OPERATIONS)
    for one in listing["operations"]:
        assert one["permission"] == OPERATIONS[one["name"]].permission
        assert one["request"]["additionalProperties"] is False
        assert one["answer"]["type"] == "object"


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        yield from [document["$ref"]] if isinstance(document.get("$ref"), str) else []
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def test_the_openapi_document_describes_every_operation_and_its_references_lead_somewhere(shared: ApiServer) -> None:
    document = shared.http.get("/api/openapi.json", headers={"Authorization": f"Bearer {shared.token}"}).json()
    assert document["openapi"] == "3.1.0"
    for name, operation in OPERATIONS.items():
        described = document["paths"][f"/api/v1/operations/{name}"]["post"]
        request = described["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        fields = document["components"]["schemas"][request]["properties"]
        assert fields.keys() == operation.request.model_fields.keys()
        for status in ("401", "403", "404", "409", "422", "429", "503"):
            assert list(described["responses"][status]["content"]) == ["application/problem+json"]
    schemas = document["components"]["schemas"]
    assert {reference.removeprefix("#/components/schemas/") for reference in references(document)} <= schemas.keys()


def test_healthz_and_readyz_are_open_and_metrics_count(press: ApiServer) -> None:
    assert press.http.get("/healthz").json() == {"status": "ok"}
    assert press.http.get("/readyz").json() == {"status": "ready"}
    press.provision().ring(announcement())
    press.call("no_such_operation")
    metrics = press.http.get("/metrics", headers={"Authorization": f"Bearer {press.token}"}).text
    assert 'bootpress_webhook_responses_total{status="202"} 1.0' in metrics
    assert 'bootpress_operation_calls_total{operation="provision_disk_image_webhook",status="200"} 1.0' in metrics
    assert 'bootpress_operation_calls_total{operation="unknown",status="404"} 1.0' in metrics
    assert "bootpress_deliveries_pending 1.0" in metrics
    assert 'bootpress_http_request_duration_seconds_count{handler="webhook"} 1.0' in metrics


def test_readyz_is_503_when_the_schema_is_another(press: ApiServer) -> None:
    with press.context.catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'older'")
    is_problem(press.http.get("/readyz"), 503)
    assert press.http.get("/healthz").status_code == 200


def test_a_client_that_hangs_up_in_the_middle_of_a_body_disturbs_nobody(shared: ApiServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=10)
    connection.putrequest("POST", "/api/v1/operations/recent_events")
    connection.putheader("Authorization", f"Bearer {shared.token}")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b'{"limit"')
    connection.close()
    assert shared.call("recent_events").status_code == 200
