"""Read tokens: accepted exactly as they were issued, until their row says otherwise."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.fernet import Fernet

from bootpress.core.accounts import read_tokens
from bootpress.core.accounts.models import ApiToken
from bootpress.core.accounts.service import authenticate, create_token, revoke_token
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import CatalogUnavailable, Unauthenticated
from tests.support.core_harness import CoreHarness

PURPOSE = b"bootpress read token"


def issue(world: CoreHarness) -> tuple[UUID, str]:
    with world.catalog.transaction() as session:
        token = read_tokens.issue(
            world.context,
            session,
            account_id=world.account_id,
            ci_worker_id=uuid4(),
            name="read token of edge",
            permissions=["system.events.read"],
        )
    return token.id, read_tokens.encode_token(world.context, token)


def refusal(world: CoreHarness, text: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        authenticate(world.context, text)
    return str(caught.value)


def test_a_read_token_is_a_jwt_whose_id_is_that_of_its_row(world: CoreHarness) -> None:
    token_id, text = issue(world)
    assert jwt.get_unverified_header(text) == {"alg": "HS256", "typ": "JWT"}
    claims = jwt.decode(text, options={"verify_signature": False})
    assert UUID(claims["jti"]) == token_id
    assert claims.keys() == {"iss", "sub", "jti", "iat"}
    caller = authenticate(world.context, text)
    assert (caller.token_id, caller.account_id) == (token_id, world.account_id)
    assert caller.permissions == {"system.events.read"}
    assert text not in str(world.call("list_api_tokens"))


def test_a_revoked_or_expired_read_token_is_refused_as_an_unknown_one_is(world: CoreHarness) -> None:
    token_id, text = issue(world)
    unknown = refusal(world, "bp_nobody")
    world.call("revoke_api_token", id=str(token_id))
    assert refusal(world, text) == unknown
    expiring, text = issue(world)
    with world.catalog.transaction() as session:
        session.get_one(ApiToken, expiring).expires_at = world.clock.now() + timedelta(minutes=1)
    authenticate(world.context, text)
    world.clock.advance(minutes=1)
    assert refusal(world, text) == unknown


def part(**said: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()


def other_key(_: CoreHarness, text: str) -> str:
    return jwt.encode(jwt.decode(text, options={"verify_signature": False}), b"k" * 32, algorithm="HS256")


def no_signature(_: CoreHarness, text: str) -> str:
    return f"{part(alg='none', typ='JWT')}.{text.split('.')[1]}."


def other_algorithm(world: CoreHarness, text: str) -> str:
    claims = jwt.decode(text, options={"verify_signature": False})
    key = world.context.secrets.derive(PURPOSE)[0]
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        return jwt.encode(claims, key, algorithm="HS512")


def other_row(world: CoreHarness, text: str) -> str:
    """Sign with our own key for the row of a token that may do everything."""
    admin, _ = create_token(world.context, account_id=world.account_id, name="admin", permissions=["*"])
    claims = jwt.decode(text, options={"verify_signature": False}) | {"jti": str(admin)}
    return jwt.encode(claims, world.context.secrets.derive(PURPOSE)[0], algorithm="HS256")


@pytest.mark.parametrize("forge", [other_key, no_signature, other_algorithm, other_row])
def test_what_was_not_issued_exactly_so_is_refused(
    world: CoreHarness, forge: Callable[[CoreHarness, str], str]
) -> None:
    _, text = issue(world)
    for forged in (forge(world, text), text + "=", text[:-1], text.upper()):
        assert refusal(world, forged) == refusal(world, "bp_nobody")


def test_a_read_token_outlives_a_new_first_key_and_not_the_end_of_its_own(world: CoreHarness) -> None:
    token_id, text = issue(world)
    new = Fernet.generate_key().decode()
    world.context = replace(world.context, secrets=SecretCipher([new, *world.keys]))
    authenticate(world.context, text)
    with world.catalog.read_session() as session:
        row = session.get_one(ApiToken, token_id)
    assert read_tokens.encode_token(world.context, row) == text
    world.context = replace(world.context, secrets=SecretCipher([new]))
    assert refusal(world, text) == refusal(world, "bp_nobody")
    with pytest.raises(CatalogUnavailable, match="has no more"):
        read_tokens.encode_token(world.context, row)


def test_what_is_derived_for_one_purpose_says_nothing_of_another(world: CoreHarness) -> None:
    box = world.context.secrets
    assert len({*box.derive(b"a"), *box.derive(b"b"), *(key.encode() for key in world.keys)}) == 3
    assert box.derive(b"a") == SecretCipher(world.keys).derive(b"a")


def test_ending_a_workers_tokens_leaves_those_of_others(world: CoreHarness) -> None:
    (first, text), (second, other) = issue(world), issue(world)
    with world.catalog.transaction() as session:
        worker_id = session.get_one(ApiToken, first).ci_worker_id
        assert worker_id is not None
        read_tokens.revoke(session, worker_id, now=world.clock.now())
    refusal(world, text)
    authenticate(world.context, other)
    revoke_token(world.context, account_id=world.account_id, token_id=second)
    refusal(world, other)
