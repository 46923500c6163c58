"""An Idempotency-Key: one effect, its answer again without secrets, and nothing kept of what failed."""

from __future__ import annotations

import dataclasses
import hmac
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import func, select, text

from bootpress.core.accounts.idempotency import call_once
from bootpress.core.accounts.models import IdempotencyRecord
from bootpress.core.context import Caller
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import Conflict, Forbidden, InvalidInput
from bootpress.core.operation_registry import OPERATIONS
from bootpress.core.webhooks.models import Webhook
from tests.support.core_harness import CoreHarness

PROVISION = "provision_disk_image_webhook"


def call(
    world: CoreHarness, name: str = PROVISION, /, *, key: str | None = "k", caller: Caller | None = None, **fields: Any
) -> tuple[dict[str, Any], bool]:
    return call_once(world.context, caller or world.caller, OPERATIONS[name], fields, key)


def webhooks(world: CoreHarness) -> int:
    with world.catalog.read_session() as session:
        return session.scalar(select(func.count(Webhook.id))) or 0


def test_a_repeat_gets_the_first_answer_without_its_secrets_and_does_nothing(world: CoreHarness) -> None:
    first, was_stored = call(world, label="x")
    assert not was_stored
    again, was_stored = call(world, label="x")
    assert was_stored
    assert again == {**first, "webhook_secret": None}
    assert first["webhook_secret"]
    assert world.events("webhook_secret_rotated") == []


def test_no_secret_lies_in_a_stored_answer(world: CoreHarness) -> None:
    secret = call(world, label="x")[0]["webhook_secret"]
    token = call(world, "create_api_token", name="x", permissions=["*"])[0]["token"]
    with world.catalog.read_session() as session:
        stored = str(session.execute(text("SELECT * FROM stored_answers")).all())
    assert "webhook_url" in stored
    assert secret not in stored
    assert token not in stored


def test_every_answer_with_something_secret_in_it_says_so() -> None:
    for name, operation in OPERATIONS.items():
        fields = operation.answer.model_fields
        assert set(operation.secrets) <= fields.keys(), name
        suspicious = {
            field
            for field, info in fields.items()
            if info.annotation == str | None and re.search("token|secret|password", field)
        }
        assert suspicious <= set(operation.secrets), name


def test_the_same_key_with_other_fields_is_refused(world: CoreHarness) -> None:
    call(world, label="x")
    with pytest.raises(InvalidInput, match="was used with other fields") as caught:
        call(world, label="y")
    assert caught.value.field == "Idempotency-Key"
    assert webhooks(world) == 2


def test_the_same_fields_are_known_again_after_a_new_key_was_put_in_front(world: CoreHarness) -> None:
    call(world, label="x")
    keys = [Fernet.generate_key().decode(), *world.keys]
    world.context = dataclasses.replace(world.context, secrets=SecretCipher(keys))
    assert call(world, label="x")[1]
    with pytest.raises(InvalidInput):
        call(world, label="y")


def test_nobody_who_reads_the_catalog_can_tell_what_was_in_the_fields(world: CoreHarness) -> None:
    call(world, label="x")
    guessed = json.dumps({"label": "x"}, separators=(",", ":")).encode()
    with world.catalog.read_session() as session:
        kept = session.scalars(select(IdempotencyRecord.request_hmac)).one()
    for key in (b"", world.account_id.bytes, str(world.account_id).encode()):
        assert kept != hmac.digest(key, guessed, "sha256")
    assert kept not in SecretCipher([Fernet.generate_key().decode()]).fingerprints(world.account_id.bytes + guessed)


def test_fields_in_another_order_are_the_same_fields(world: CoreHarness) -> None:
    operation = OPERATIONS["create_api_token"]
    call_once(world.context, world.caller, operation, {"name": "x", "permissions": ["*"]}, "k")
    _, was_stored = call_once(world.context, world.caller, operation, {"permissions": ["*"], "name": "x"}, "k")
    assert was_stored


def test_a_key_is_an_accounts_own_and_an_operations_own(world: CoreHarness) -> None:
    call(world, label="x")
    assert not call(world, label="x", caller=world.new_caller("rival"))[1]
    assert not call(world, "create_api_token", name="x", permissions=["*"])[1]


def test_a_key_is_forgotten_after_a_day(world: CoreHarness) -> None:
    call(world, label="x")
    world.clock.advance(hours=24)
    assert call(world, label="x")[1]
    world.clock.advance(seconds=1)
    answer, was_stored = call(world, label="x")
    assert (answer["action"], was_stored) == ("rotated", False)


def test_a_call_that_fails_keeps_nothing(world: CoreHarness) -> None:
    for _ in range(2):
        with pytest.raises(InvalidInput, match="label"):
            call(world, label="")
    assert not call(world, label="x")[1]


def test_a_call_that_is_still_running_is_a_conflict(world: CoreHarness) -> None:
    call(world, label="x")
    with world.catalog.transaction() as session:
        session.scalars(select(IdempotencyRecord)).one().answer = None
    with pytest.raises(Conflict, match="still running"):
        call(world, label="x")


def test_after_a_call_that_died_a_repeat_does_nothing_and_says_that_the_outcome_is_unknown(world: CoreHarness) -> None:
    call(world, label="x")
    with world.catalog.transaction() as session:  # as a process leaves it that dies before it keeps the answer
        session.scalars(select(IdempotencyRecord)).one().answer = None
    for minutes in (6, 23 * 60):
        world.clock.advance(minutes=minutes)
        with pytest.raises(Conflict, match="outcome is unknown") as caught:
            call(world, label="x")
        assert "another key" in str(caught.value.hint)
    assert world.events("webhook_secret_rotated") == []
    answer, was_stored = call(world, key="another", label="x")
    assert (answer["action"], was_stored) == ("rotated", False)
    world.clock.advance(hours=1)
    assert not call(world, label="x")[1]


def test_of_many_at_once_with_one_key_one_acts(world: CoreHarness) -> None:
    gate = threading.Barrier(8)

    def run(_: int) -> str:
        gate.wait()
        try:
            return "stored" if call(world, label="x")[1] else "acted"
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(run, range(8)))
    assert outcomes.count("acted") == 1
    assert webhooks(world) == 2
    assert world.events("webhook_secret_rotated") == []


def test_a_stored_answer_is_for_those_only_who_may_call(world: CoreHarness) -> None:
    call(world, label="x")
    with pytest.raises(Forbidden):
        call(world, label="x", caller=world.new_caller("acme", "system.events.read"))


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "a\0b"])
def test_what_is_no_key_is_refused(world: CoreHarness, key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(world, label="x", key=key)
    assert caught.value.field == "Idempotency-Key"


def test_without_a_key_and_for_readers_nothing_is_stored(world: CoreHarness) -> None:
    call(world, key=None, label="x")
    assert call(world, key=None, label="x")[0]["action"] == "rotated"
    call(world, "system_list_disk_image_webhooks")
    with world.catalog.read_session() as session:
        assert session.scalars(select(IdempotencyRecord)).all() == []
