"""Tokens, and the wall between accounts: whoever asks for another's row is told that there is none."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from bootpress.core.accounts import service
from bootpress.core.accounts.models import ApiToken
from bootpress.core.errors import BootpressError, Forbidden, InvalidInput, NotFound, Unauthenticated
from bootpress.core.operation_registry import OPERATIONS, PERMISSIONS
from bootpress.core.workers.models import CiWorker
from tests.support.core_harness import CoreHarness

ID_FIELDS = {"id", "publication_id", "webhook_id", "node_platform_id", "platform"}
OF_THE_FORGE = {"run_id", "job_id"}
"""Ids of another system, which each account reaches by its own connection alone."""
BY_SLUG = {"node_platform_id", "platform"}
REQUIRED: dict[str, Any] = {"retention_count": 2}


def mint(world: CoreHarness, **fields: Any) -> tuple[UUID, str]:
    given = {"name": "laptop", "permissions": ["*"], **fields}
    answer = world.call("create_api_token", **given)
    return UUID(answer["token_id"]), answer["token"]


def test_a_token_names_its_holder_and_only_its_hash_is_kept(world: CoreHarness) -> None:
    token_id, token = mint(world, permissions=["system.events.read", "system.events.read"])
    caller = service.authenticate(world.context, token)
    assert (caller.account_id, caller.token_id, caller.name) == (world.account_id, token_id, "laptop")
    assert caller.permissions == {"system.events.read"}
    with world.catalog.read_session() as session:
        row = session.scalars(select(ApiToken)).one()
        raw = session.execute(text("SELECT * FROM api_tokens")).all()
    assert row.token_sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert token not in str(raw)
    assert token.removeprefix("bp_") not in str(raw)
    assert "token" not in world.call("list_api_tokens")["tokens"][0]


def test_an_expired_revoked_or_unknown_token_gets_one_and_the_same_answer(world: CoreHarness) -> None:
    expires_at = world.clock.now() + timedelta(hours=1)
    _, expiring = mint(world, expires_at=expires_at.isoformat())
    revoked_id, revoked = mint(world)
    assert service.authenticate(world.context, expiring).account_id == world.account_id
    world.clock.advance(hours=1)
    first = world.call("revoke_api_token", id=str(revoked_id))
    world.clock.advance(hours=1)
    assert world.call("revoke_api_token", id=str(revoked_id)) == first
    answers = set()
    for token in (expiring, revoked, "bp_unknown", "", "x" * 5000, "bp_\0"):
        with pytest.raises(Unauthenticated) as caught:
            service.authenticate(world.context, token)
        answers.add(str(caught.value))
    assert len(answers) == 1


def test_nobody_gives_away_a_permission_that_he_lacks(world: CoreHarness) -> None:
    poor = world.new_caller("acme", "system.api_tokens.manage", "system.events.read")
    assert world.call("create_api_token", poor, name="x", permissions=["system.events.read"])["token"]
    for beyond in ("*", "system.node_platforms.manage"):
        with pytest.raises(Forbidden, match=f"your token lacks {beyond}".replace("*", r"\*")):
            world.call("create_api_token", poor, name="x", permissions=["system.events.read", beyond])


@pytest.mark.parametrize(
    "expires_at", ["2025-06-01T12:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00"]
)
def test_a_token_that_cannot_expire_then_is_refused_by_name(world: CoreHarness, expires_at: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        mint(world, expires_at=expires_at)
    assert caught.value.field == "expires_at"


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_needs_its_permission_by_name(world: CoreHarness, name: str) -> None:
    operation = OPERATIONS[name]
    others = [permission for permission in PERMISSIONS if permission != operation.permission]
    with pytest.raises(Forbidden, match=f"{name} needs the permission {operation.permission}"):
        world.call(name, world.new_caller("acme", *others))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_unknown_field_is_refused_by_name_with_those_that_are_accepted(world: CoreHarness, name: str) -> None:
    with pytest.raises(InvalidInput, match="unknown field colour") as caught:
        world.call(name, colour="red")
    assert caught.value.field == "colour"
    for field in OPERATIONS[name].request.model_fields:
        assert field in str(caught.value.hint)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_account_id_must_be_the_tokens_own(world: CoreHarness, name: str) -> None:
    rows = rows_of(world)
    fields = {field: rows[name, field] for field in ID_FIELDS if (name, field) in rows}
    for account_id in (uuid4(), world.new_caller("rival").account_id):
        with pytest.raises((NotFound, InvalidInput)) as caught:
            world.call(name, account_id=str(account_id), **fields, **extra(name))
        if isinstance(caught.value, NotFound):
            assert str(account_id) in str(caught.value)
        else:  # fields are read first; those that this loop does not know are missing
            assert "is missing" in str(caught.value)


def extra(name: str) -> dict[str, Any]:
    return {field: value for field, value in REQUIRED.items() if field in OPERATIONS[name].request.model_fields}


class Rows(dict[tuple[str, str], str]):
    """For each operation and field, the id of a row of the world's account."""


def rows_of(world: CoreHarness) -> Rows:
    with world.catalog.read_session() as session:
        token_id = session.scalar(select(ApiToken.id))
    platform_id = world.platform("edge")
    publication_id = world.publish()
    token_id = token_id or mint(world)[0]
    worker_id = add_worker(world)
    rows = Rows()
    for name, operation in OPERATIONS.items():
        for field in ID_FIELDS & operation.request.model_fields.keys():
            if field in BY_SLUG or "node_platform" in name:
                rows[name, field] = str(platform_id)
            elif field == "webhook_id":
                rows[name, field] = str(world.webhook_id)
            elif "ci_worker" in name:
                rows[name, field] = str(worker_id)
            elif "token" in name:
                rows[name, field] = str(token_id)
            else:
                rows[name, field] = str(publication_id)
    return rows


def add_worker(world: CoreHarness) -> UUID:
    """Add a CI worker that no forge is asked about."""
    at = world.clock.now()
    with world.catalog.transaction() as session:
        worker = CiWorker(account_id=world.account_id, label="ci", label_key="ci", status="revoked", forge_name="none",
                          labels=[], created_at=at, revoked_at=at)  # fmt: skip
        session.add(worker)
        session.flush()
        return worker.id


def answer(world: CoreHarness, name: str, caller: Any, fields: dict[str, str]) -> str:
    """Return what somebody is told, with the ids taken out that he himself gave."""
    try:
        world.call(name, caller, **fields, **extra(name))
    except BootpressError as error:
        said = f"{type(error).__name__}: {error}"
        for value in fields.values():
            said = said.replace(value, "<id>")
        return said
    return "done"


def test_every_operation_with_an_id_answers_a_foreign_one_exactly_like_an_unknown_one(world: CoreHarness) -> None:
    rows = rows_of(world)
    rival = world.new_caller("rival")
    for (name, field), value in rows.items():
        foreign = {field: value}
        if (name, field) == ("system_set_default_disk_image_publication", "node_platform_id"):
            foreign["publication_id"] = rows[name, "publication_id"]
        unknown = {key: str(uuid4()) for key in foreign}
        told = answer(world, name, rival, foreign)
        assert told == answer(world, name, rival, unknown), (name, field)
        assert told.startswith("NotFound"), (name, field, told)
    told = answer(world, "system_get_node_platform", rival, {"id": "edge"})
    assert told == answer(world, "system_get_node_platform", rival, {"id": "nobody"})


def test_no_field_that_names_a_row_is_missing_from_these_tests() -> None:
    named = {field for operation in OPERATIONS.values() for field in operation.request.model_fields}
    assert {field for field in named if field.endswith("id")} - {"account_id"} - OF_THE_FORGE <= ID_FIELDS


def test_nobody_sees_rows_of_another_account_in_a_list(world: CoreHarness) -> None:
    rows_of(world)
    mint(world)
    rival = world.new_caller("rival")
    for name, operation in OPERATIONS.items():
        fields = operation.request.model_fields
        if operation.changes or ID_FIELDS - {"platform"} & fields.keys() or "repo" in fields:  # a forge's, not ours
            continue
        own, foreign = world.call(name), world.call(name, rival)
        lists = [value for value in foreign.values() if isinstance(value, list)]
        assert lists == [[]], name
        if name != "system_list_connections":
            assert [value for value in own.values() if value], name


def test_what_one_account_does_leaves_another_ones_rows_alone(world: CoreHarness) -> None:
    platform_id = world.platform("edge")
    rival = world.new_caller("rival")
    own = world.platform("edge", caller=rival)
    assert own != platform_id
    assert world.call("system_get_node_platform", rival, id="edge")["node_platform"]["id"] == str(own)
    assert world.call("system_sweep_disk_image_retention", rival) == {"retired": [], "purged": [], "kept": []}


@pytest.mark.parametrize(
    ("permissions", "hint"),
    [(["system.event.read"], "did you mean system.events.read?"), (["*", "all"], "there are: *, system.")],
)
def test_a_permission_that_does_not_exist_is_refused_by_name(
    world: CoreHarness, permissions: list[str], hint: str
) -> None:
    with pytest.raises(InvalidInput, match=repr(permissions[-1])) as caught:
        world.call("create_api_token", name="robot", permissions=permissions)
    assert caught.value.field == "permissions"
    assert hint in str(caught.value.hint)
    assert world.call("list_api_tokens")["tokens"] == []
