"""A token that another minted may do no more and lives no longer; a token revokes only what it could have minted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from bootpress.core.accounts import lineage, read_tokens, service
from bootpress.core.context import Caller
from bootpress.core.errors import Forbidden, InvalidInput, Unauthenticated
from tests.support.core_harness import CoreHarness

MANAGE, EVENTS = "system.api_tokens.manage", "system.events.read"


def root(world: CoreHarness, *permissions: str, **fields: Any) -> tuple[UUID, Caller]:
    """Mint a token as the installation does, without a parent; return its id and who calls with it."""
    token_id, text = service.create_token(
        world.context, account_id=world.account_id, name="root", permissions=permissions or ["*"], **fields
    )
    return token_id, service.authenticate(world.context, text)


def child(
    world: CoreHarness, parent: Caller, permissions: Sequence[str] = (MANAGE, EVENTS), **fields: Any
) -> tuple[dict[str, Any], str]:
    answer = world.call("create_api_token", parent, name="child", permissions=list(permissions), **fields)
    return answer, answer["token"]


def lives(world: CoreHarness, text: str) -> bool:
    try:
        service.authenticate(world.context, text)
    except Unauthenticated:
        return False
    return True


def listed(world: CoreHarness) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in world.call("list_api_tokens")["tokens"]}


def test_a_child_without_an_end_gets_its_parents_and_is_told_so(world: CoreHarness) -> None:
    until = world.clock.now() + timedelta(hours=1)
    parent_id, parent = root(world, expires_at=until)
    made, text = child(world, parent)
    assert made["expires_at"] == "2025-06-01T13:00:00.000Z"
    row = listed(world)[made["token_id"]]
    assert (row["expires_at"], row["parent_id"]) == (made["expires_at"], str(parent_id))
    world.clock.advance(minutes=59)
    assert lives(world, text)
    world.clock.advance(minutes=1)
    assert not lives(world, text)


@pytest.mark.parametrize("later", ["2025-06-01T13:00:00.001Z", "2025-06-01T15:00:01+02:00", "9999-12-31T23:59:59Z"])
def test_a_later_end_than_the_parents_is_refused_by_name(world: CoreHarness, later: str) -> None:
    _, parent = root(world, expires_at=world.clock.now() + timedelta(hours=1))
    with pytest.raises(InvalidInput, match="your token expires at 2025-06-01T13:00:00Z") as refusal:
        child(world, parent, expires_at=later)
    assert refusal.value.field == "expires_at"
    assert child(world, parent, expires_at="2025-06-01T13:00:00Z")[0]["expires_at"] == "2025-06-01T13:00:00.000Z"
    assert child(world, parent, expires_at="2025-06-01T12:30:00Z")[0]["expires_at"] == "2025-06-01T12:30:00.000Z"


def test_a_parent_without_an_end_mints_what_has_one_or_none(world: CoreHarness) -> None:
    _, parent = root(world)
    assert child(world, parent)[0]["expires_at"] is None
    assert child(world, parent, expires_at="2999-01-01T00:00:00Z")[0]["expires_at"] == "2999-01-01T00:00:00.000Z"


def test_grandchildren_are_bound_by_all_that_they_descend_from(world: CoreHarness) -> None:
    _, first = root(world, expires_at=world.clock.now() + timedelta(hours=1))
    _, text = child(world, first)
    second = service.authenticate(world.context, text)
    made, last = child(world, second, [EVENTS])
    assert made["expires_at"] == "2025-06-01T13:00:00.000Z"
    with pytest.raises(Forbidden, match=r"lacks \* "):
        child(world, second, ["*"])
    assert lives(world, last)


@pytest.mark.parametrize("generation", [0, 1])
def test_a_revoked_token_ends_whatever_descends_from_it_and_nothing_else(world: CoreHarness, generation: int) -> None:
    first_id, first = root(world)
    made, text = child(world, first)
    _, sibling = child(world, first)
    grandchild, last = child(world, service.authenticate(world.context, text))
    world.clock.advance(minutes=1)
    world.call("revoke_api_token", id=[str(first_id), made["token_id"]][generation])
    assert not lives(world, text)
    assert not lives(world, last)
    assert lives(world, sibling) == (generation == 1)
    assert listed(world)[grandchild["token_id"]]["revoked_at"] == "2025-06-01T12:01:00.000Z"


def test_whoever_was_about_to_mint_when_his_token_was_revoked_mints_what_does_not_hold(world: CoreHarness) -> None:
    first_id, first = root(world)
    service.revoke_token(world.context, account_id=world.account_id, token_id=first_id)
    assert not lives(world, child(world, first)[1])


def test_no_token_descends_from_more_than_a_few(world: CoreHarness) -> None:
    _, caller = root(world)
    for _ in range(lineage.MAX_GENERATIONS):
        caller = service.authenticate(world.context, child(world, caller, ["*"])[1])
    with pytest.raises(Forbidden, match="no token descends from more"):
        child(world, caller, ["*"])


def test_a_token_revokes_only_what_it_could_have_minted(world: CoreHarness) -> None:
    hour = world.clock.now() + timedelta(hours=1)
    _, weak = root(world, MANAGE, EVENTS, expires_at=hour)
    beyond = {
        "may \\*": root(world, "*", expires_at=hour)[0],
        "may system.node_platforms.manage": root(world, EVENTS, "system.node_platforms.manage", expires_at=hour)[0],
        "lives longer": root(world, EVENTS, expires_at=hour + timedelta(seconds=1))[0],
        "and lives longer|it lives longer": root(world, MANAGE)[0],
    }
    for said, token_id in beyond.items():
        with pytest.raises(Forbidden, match=f"is beyond yours, which cannot revoke it: .*({said})"):
            world.call("revoke_api_token", weak, id=str(token_id))
        assert listed(world)[str(token_id)]["revoked_at"] is None
    for token_id in (root(world, EVENTS, expires_at=hour)[0], UUID(child(world, weak)[0]["token_id"])):
        world.call("revoke_api_token", weak, id=str(token_id))
    for token_id in beyond.values():  # who may do everything revokes them all, also when he expires
        world.call("revoke_api_token", root(world, expires_at=hour)[1], id=str(token_id))
    assert all(listed(world)[str(token_id)]["revoked_at"] for token_id in beyond.values())


def test_a_token_revokes_itself_and_what_it_minted(world: CoreHarness) -> None:
    _, parent = root(world)
    made, text = child(world, parent, [MANAGE])
    own = service.authenticate(world.context, text)
    minted, last = child(world, own, [MANAGE])
    world.call("revoke_api_token", own, id=minted["token_id"])
    assert not lives(world, last)
    world.call("revoke_api_token", own, id=made["token_id"])
    assert not lives(world, text)


def test_a_read_token_ends_with_the_one_that_asked_for_it(world: CoreHarness) -> None:
    until = world.clock.now() + timedelta(hours=1)
    parent_id, _ = root(world, expires_at=until)
    with world.catalog.transaction() as session:
        token = read_tokens.issue(
            world.context,
            session,
            account_id=world.account_id,
            ci_worker_id=world.webhook_id,
            name="read token",
            permissions=[EVENTS],
            parent_id=parent_id,
        )
    text = read_tokens.encode_token(world.context, token)
    assert token.expires_at == until
    assert lives(world, text)
    service.revoke_token(world.context, account_id=world.account_id, token_id=parent_id)
    assert not lives(world, text)
