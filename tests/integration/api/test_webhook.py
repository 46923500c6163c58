"""Every row of the webhook's answer table (CONTRACT: Webhook), over HTTP."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.payload import MAX_BODY
from bootpress.entrypoints.api import request_body
from tests.support.api import ApiServer, WebhookClient, announcement, running_press
from tests.support.fakes import eventually


def is_problem(answer: httpx.Response, status: int) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail"} <= problem.keys()
    return problem


def deliveries(press: ApiServer) -> list[dict[str, object]]:
    found: list[dict[str, object]] = press.called("system_list_disk_image_deliveries")["deliveries"]
    return found


def test_a_new_delivery_is_accepted_stored_and_then_launched(press: ApiServer, bell: WebhookClient) -> None:
    answer = bell.ring(announcement(git_sha="a" * 40))
    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted", "delivery_id": answer.json()["delivery_id"]}
    assert [one["id"] for one in deliveries(press)] == [answer.json()["delivery_id"]]
    assert eventually(lambda: bool(press.launcher.deliveries))
    launch = press.launcher.deliveries[0]
    assert str(launch.delivery_id) == answer.json()["delivery_id"]
    assert launch.run_name == f"edge @ {'a' * 12}"


@pytest.mark.parametrize("header", ["X-Powernode-Signature", "X-Hub-Signature-256", "X-Gitea-Signature"])
@pytest.mark.parametrize("form", ["base64", "prefixed", "hex"])
def test_each_signature_header_is_read_in_each_form(shared_bell: WebhookClient, header: str, form: str) -> None:
    body = json.dumps(announcement()).encode()
    signature = shared_bell.sign(body)
    value = {
        "base64": base64.b64encode(signature).decode(),
        "prefixed": f"sha256={signature.hex()}",
        "hex": signature.hex(),
    }[form]
    assert shared_bell.ring(body=body, **{"X-Powernode-Signature": "", header: value}).status_code == 202


def test_the_first_signature_header_that_is_present_counts(shared_bell: WebhookClient) -> None:
    body = json.dumps(announcement()).encode()
    good = shared_bell.sign(body).hex()
    is_problem(shared_bell.ring(body=body, X_Powernode_Signature="00" * 32, X_Gitea_Signature=good), 401)
    assert shared_bell.ring(body=body, X_Powernode_Signature=good, X_Gitea_Signature="00" * 32).status_code == 202


def test_the_same_body_is_a_duplicate_until_its_processing_begins(press: ApiServer, bell: WebhookClient) -> None:
    first = bell.ring().json()
    again = bell.ring()
    assert (again.status_code, again.json()) == (200, {"status": "duplicate", "delivery_id": first["delivery_id"]})
    assert eventually(lambda: bool(press.launcher.deliveries))
    attempt_id = press.launcher.deliveries[0].key
    attempts.start(press.context, UUID(first["delivery_id"]), attempt_id=attempt_id, flow_run_id=None)
    later = bell.ring()
    assert later.status_code == 202
    assert later.json()["delivery_id"] != first["delivery_id"]


def test_the_same_body_at_once_from_many_clients_is_one_delivery(press: ApiServer, bell: WebhookClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: bell.ring(), range(24)))
    assert sorted(answer.status_code for answer in answers) == [200] * 23 + [202]
    assert len({answer.json()["delivery_id"] for answer in answers}) == 1
    assert len(deliveries(press)) == 1


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[]", b'"text"', b"\xff", b"{" * 3000, b'{"size_bytes": NaN}', b'{"a": "\\ud800"}']
)
def test_what_is_not_json_is_400_after_its_signature_held(shared_bell: WebhookClient, body: bytes) -> None:
    assert "field" not in is_problem(shared_bell.ring(body=body), 400)
    is_problem(shared_bell.ring(body=body, X_Powernode_Signature="00" * 32), 401)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"oci_ref": "registry.example.org/os/edge:main"}, "platform_slug"),
        ({"platform_slug": "edge"}, "oci_ref"),
        (announcement(oci_ref="Not A Reference"), "oci_ref"),
        (announcement(oci_digest="sha256:short"), "oci_digest"),
        (announcement(size_bytes=-1), "size_bytes"),
        (announcement(platform_slug=["edge"]), "platform_slug"),
        (announcement(git_sha="a\0b"), "git_sha"),
        (announcement(oci_ref=f"r.example/o@sha256:{'a' * 64}", oci_digest=f"sha256:{'b' * 64}"), "oci_digest"),
    ],
)
def test_a_missing_or_invalid_field_is_422_and_named(
    shared_bell: WebhookClient, fields: dict[str, object], field: str
) -> None:
    problem = is_problem(shared_bell.ring(fields), 422)
    assert problem["field"] == field
    assert field in str(problem["detail"])


def test_the_largest_body_is_accepted_and_one_byte_more_is_413(shared_bell: WebhookClient) -> None:
    body = json.dumps(announcement()).encode()
    assert shared_bell.ring(body=body.ljust(MAX_BODY)).status_code == 202
    is_problem(shared_bell.ring(body=body.ljust(MAX_BODY + 1)), 413)


def test_a_body_without_a_length_is_bounded_too(shared: ApiServer, shared_bell: WebhookClient) -> None:
    body = json.dumps(announcement()).encode().ljust(MAX_BODY + 1)

    def pieces() -> Iterator[bytes]:
        yield body[:1000]
        yield body[1000:]

    signature = {"X-Powernode-Signature": shared_bell.sign(body).hex(), "Content-Type": "application/json"}
    answer = shared.http.post(shared_bell.path, content=pieces(), headers=signature)
    is_problem(answer, 413)


def test_a_body_that_never_ends_is_given_up(shared: ApiServer, shared_bell: WebhookClient) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=20)
    connection.putrequest("POST", shared_bell.path)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.putheader("Content-Type", "application/json")
    connection.endheaders()
    sent = 0
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012 - the server hangs up somewhere within
        while sent < 64 * request_body.MAX_DISCARD_BYTES:
            connection.send(chunk)
            sent += 0x10000
    connection.close()


def test_a_length_far_beyond_the_limit_is_refused_before_the_body_is_sent(
    shared: ApiServer, shared_bell: WebhookClient
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=20)
    connection.putrequest("POST", shared_bell.path)
    connection.putheader("Content-Length", str(10**12))
    connection.putheader("Content-Type", "application/json")
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("given", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
def test_another_type_is_415(shared_bell: WebhookClient, given: str) -> None:
    is_problem(shared_bell.ring(Content_Type=given), 415)


@pytest.mark.parametrize("given", ["application/json; charset=utf-8", "Application/JSON", "application/json;foo"])
def test_json_is_json_with_parameters_too(shared_bell: WebhookClient, given: str) -> None:
    assert shared_bell.ring(Content_Type=given).status_code == 202


@pytest.mark.parametrize("value", ["", "sha256=", "00" * 32, "zz", "sha256=" + "0" * 63, "=" * 5000, "ü"])
def test_a_missing_or_malformed_signature_is_401(shared: ApiServer, shared_bell: WebhookClient, value: str) -> None:
    body = json.dumps(announcement()).encode()
    headers = [(b"Content-Type", b"application/json")]
    headers += [(b"X-Powernode-Signature", value.encode("latin-1"))] * bool(value)
    before = deliveries(shared)
    is_problem(shared.http.post(shared_bell.path, content=body, headers=headers), 401)
    assert deliveries(shared) == before


def test_a_signature_that_is_sent_twice_is_401(shared: ApiServer, shared_bell: WebhookClient) -> None:
    body = json.dumps(announcement()).encode()
    good = ("X-Powernode-Signature", shared_bell.sign(body).hex())
    headers = [("Content-Type", "application/json"), good, ("X-Powernode-Signature", "00" * 32)]
    is_problem(shared.http.post(shared_bell.path, content=body, headers=headers), 401)


def test_unknown_disabled_revoked_malformed_and_badly_signed_have_one_answer(press: ApiServer) -> None:
    disabled, revoked, active = (press.provision(label) for label in ("disabled", "revoked", "active"))
    press.called("system_disable_disk_image_webhook", webhook_id=disabled.webhook_id)
    press.called("system_revoke_disk_image_webhook", webhook_id=revoked.webhook_id)
    answers = [
        disabled.ring(),
        revoked.ring(),
        WebhookClient(press, str(uuid4()), active.secret).ring(),
        WebhookClient(press, "not-a-uuid", active.secret).ring(),
        WebhookClient(press, active.webhook_id, "another secret").ring(),
    ]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert is_problem(answers[0], 401)
    press.called("system_enable_disk_image_webhook", webhook_id=disabled.webhook_id)
    assert disabled.ring().status_code == 202


def test_a_rotated_secret_holds_at_once_and_the_old_one_while_they_overlap(
    press: ApiServer, bell: WebhookClient
) -> None:
    made = press.called("system_rotate_disk_image_webhook_secret", webhook_id=bell.webhook_id, overlap_minutes=5)
    assert WebhookClient(press, bell.webhook_id, made["webhook_secret"]).ring(announcement(run_id=1)).status_code == 202
    assert bell.ring(announcement(run_id=2)).status_code == 202
    press.called("system_rotate_disk_image_webhook_secret", webhook_id=bell.webhook_id)
    is_problem(bell.ring(announcement(run_id=3)), 401)


def test_beyond_the_rate_of_a_webhook_is_429_with_retry_after(catalog_url: str) -> None:
    with running_press(catalog_url, webhook_rate=0.01, webhook_burst=2) as press:
        bell, other = press.provision("busy"), press.provision("other")
        is_problem(bell.ring(X_Powernode_Signature="00" * 32), 401)  # not counted
        assert [bell.ring(announcement(run_id=number)).status_code for number in range(2)] == [202, 202]
        answer = bell.ring(announcement(run_id=2))
        is_problem(answer, 429)
        assert 1 <= int(answer.headers["retry-after"]) <= 100
        assert other.ring().status_code == 202


def test_bad_signatures_are_limited_per_address_and_no_header_changes_the_address(
    press: ApiServer, bell: WebhookClient
) -> None:
    statuses = [
        WebhookClient(press, webhook_id, "wrong").ring(X_Forwarded_For=f"192.0.2.{number}").status_code
        for number in range(30)
        for webhook_id in (bell.webhook_id, str(uuid4()))
    ]
    assert statuses[:30] == [401] * 30
    assert 429 in statuses
    answer = first_refused(bell)
    assert int(answer.headers["retry-after"]) >= 1
    assert bell.ring().status_code == 202


def first_refused(bell: WebhookClient, forwarded: str = "") -> httpx.Response:
    """Ring with a bad signature until the address is limited; a token a second comes back meanwhile."""
    for _ in range(200):
        answer = bell.ring(X_Powernode_Signature="wrong", X_Forwarded_For=forwarded)
        if answer.status_code != 401:
            return answer
    raise AssertionError("200 bad signatures, and never limited")


def test_behind_a_trusted_proxy_each_client_is_limited_by_itself(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    with running_press(url, trusted_proxies="127.0.0.1,198.51.100.0/24") as press:
        bell = press.provision()

        def told(forwarded: str, times: int) -> set[int]:
            wrong = WebhookClient(press, bell.webhook_id, "wrong")
            return {wrong.ring(X_Forwarded_For=forwarded).status_code for _ in range(times)}

        assert first_refused(bell, "192.0.2.1").status_code == 429
        assert told("192.0.2.2", 30) == {401}
        # What a client says of itself, in front of what the proxies saw, counts for nothing.
        assert first_refused(bell, "192.0.2.1").status_code == 429
        assert 429 in told("203.0.113.5, 192.0.2.1, 198.51.100.7", 3)
        assert told("203.0.113.5", 30) == {401}
        assert bell.ring(X_Forwarded_For="192.0.2.1").status_code == 202


def test_a_catalog_without_its_tables_is_503_with_retry_after(press: ApiServer, bell: WebhookClient) -> None:
    with press.context.catalog.engine.begin() as connection:
        connection.execute(text("ALTER TABLE webhook_deliveries RENAME TO elsewhere"))
    answer = bell.ring()
    is_problem(answer, 503)
    assert int(answer.headers["retry-after"]) >= 1


def test_get_is_405_and_a_path_beside_it_404(shared: ApiServer, shared_bell: WebhookClient) -> None:
    answer = shared.http.get(shared_bell.path)
    is_problem(answer, 405)
    assert answer.headers["allow"] == "POST"
    is_problem(shared.http.post(shared_bell.path + "/more"), 404)
    is_problem(shared.http.post(shared_bell.path + "/"), 404)


def test_deliveries_wait_for_an_orchestrator_that_is_away(press: ApiServer, bell: WebhookClient) -> None:
    with press.launcher.switched_off():
        accepted = [bell.ring(announcement(run_id=number)) for number in range(3)]
        assert [answer.status_code for answer in accepted] == [202] * 3
        assert eventually(lambda: press.launcher.asked > 0)
        assert press.launcher.deliveries == []
    assert eventually(lambda: len(press.launcher.deliveries) == 3)
    launched = {str(launch.delivery_id) for launch in press.launcher.deliveries}
    assert launched == {answer.json()["delivery_id"] for answer in accepted}


def test_many_deliveries_are_handed_over_in_batches(press: ApiServer, bell: WebhookClient) -> None:
    with press.launcher.switched_off():
        for number in range(20):
            assert bell.ring(announcement(run_id=number)).status_code == 202
    assert eventually(lambda: bool(press.launcher.batches))
    assert press.launcher.batches[0].run_name == "20 deliveries"
    assert len(attempts.attempts_of_batch(press.context, press.launcher.batches[0].key)) == 20


def test_beyond_its_daily_budget_a_webhook_gets_429_and_is_counted_as_near_it(catalog_url: str) -> None:
    with running_press(catalog_url, webhook_daily_mib=1) as press:
        bell = press.provision()
        fields = [announcement(note=str(number) + "x" * 60_000) for number in range(14)]
        assert [bell.ring(one).status_code for one in fields] == [202] * 13 + [429]
        refused = bell.ring(fields[-1])
        problem = refused.json()
        assert problem["type"] == "urn:bootpress:problem:rate-limited"
        assert "1048576 bytes" in problem["detail"]
        assert "BOOTPRESS_WEBHOOK_DAILY_MIB" in problem["hint"]
        assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
        assert bell.ring(fields[0]).json()["status"] == "duplicate"
        measured = press.http.get("/metrics", headers={"Authorization": f"Bearer {press.token}"}).text
        assert "bootpress_webhooks_near_budget 1.0" in measured
