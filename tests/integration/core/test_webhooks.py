"""Webhooks and their secrets: made, rotated with and without overlap, disabled, revoked, encrypted at rest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import event

from bootpress.core.deliveries.receiver import FAILURES_AT_ONCE, WebhookReceiver
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import (
    CatalogUnavailable,
    Conflict,
    IllegalTransition,
    InvalidInput,
    RateLimited,
    Unauthenticated,
)
from tests.support.core_harness import CoreHarness, sign_base64


def works(world: CoreHarness, secret: str, *, webhook_id: UUID | None = None) -> bool:
    try:
        world.post(world.body(), secret=secret, webhook_id=webhook_id)
    except Unauthenticated:
        return False
    return True


def test_a_label_is_compared_trimmed_and_without_case_and_keeps_its_first_spelling(world: CoreHarness) -> None:
    first = world.call("provision_disk_image_webhook", label=" Build ")
    again = world.call("provision_disk_image_webhook", label="bUILD")
    assert (first["action"], again["action"]) == ("created", "rotated")
    assert first["webhook_id"] == again["webhook_id"]
    assert first["webhook_url"] == again["webhook_url"]
    assert first["webhook_url"] == (
        f"https://press.example/api/v1/system/webhooks/disk_image/built/{first['webhook_id']}"
    )
    labels = [row["label"] for row in world.call("system_list_disk_image_webhooks")["webhooks"]]
    assert sorted(labels) == ["Build", "ci"]  # made in one moment of the fixed clock
    assert not works(world, first["webhook_secret"], webhook_id=UUID(first["webhook_id"]))
    assert works(world, again["webhook_secret"], webhook_id=UUID(first["webhook_id"]))


def test_two_accounts_have_a_webhook_of_one_label_each(world: CoreHarness) -> None:
    made = world.call("provision_disk_image_webhook", world.new_caller("rival"), label="ci")
    assert made["action"] == "created"
    assert made["webhook_id"] != str(world.webhook_id)


def test_one_label_provisioned_by_many_at_once_is_one_webhook(world: CoreHarness) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: world.call("provision_disk_image_webhook", label="new"), range(8)))
    assert len({one["webhook_id"] for one in made}) == 1
    assert sorted(one["action"] for one in made) == ["created"] + ["rotated"] * 7
    webhook_id = UUID(made[0]["webhook_id"])
    assert [works(world, one["webhook_secret"], webhook_id=webhook_id) for one in made].count(True) == 1


def test_rotating_with_overlap_leaves_the_old_secret_for_that_long(world: CoreHarness) -> None:
    old = world.secret
    made = world.call("system_rotate_disk_image_webhook_secret", webhook_id=str(world.webhook_id), overlap_minutes=10)
    assert (works(world, old), works(world, made["webhook_secret"])) == (True, True)
    world.clock.advance(minutes=10)
    assert (works(world, old), works(world, made["webhook_secret"])) == (False, True)
    assert len(world.events("webhook_secret_rotated")) == 1


def test_rotating_without_overlap_ends_every_old_secret_at_once(world: CoreHarness) -> None:
    first = world.secret
    name = "system_rotate_disk_image_webhook_secret"
    second = world.call(name, webhook_id=str(world.webhook_id), overlap_minutes=60)["webhook_secret"]
    third = world.call(name, webhook_id=str(world.webhook_id))["webhook_secret"]
    assert [works(world, secret) for secret in (first, second, third)] == [False, False, True]


def test_a_revoked_webhook_stays_revoked_and_frees_its_label(world: CoreHarness) -> None:
    named = {"webhook_id": str(world.webhook_id)}
    for _ in range(2):
        answer = world.call("system_revoke_disk_image_webhook", **named)
        assert answer["webhook"]["status"] == "revoked"
    assert len(world.events("webhook_revoked")) == 1
    for move in ("enable", "disable"):
        with pytest.raises(IllegalTransition, match="a webhook that is revoked cannot become"):
            world.call(f"system_{move}_disk_image_webhook", **named)
    with pytest.raises(Conflict, match="is revoked: it takes no new secret"):
        world.call("system_rotate_disk_image_webhook_secret", **named)
    assert world.call("provision_disk_image_webhook", label="ci")["action"] == "created"


def test_secrets_lie_encrypted_and_are_never_listed(world: CoreHarness) -> None:
    row = world.webhook()
    assert world.secret.encode() not in row.secret
    assert SecretCipher(world.keys).decrypt(row.secret) == world.secret
    listed = str(world.call("system_list_disk_image_webhooks"))
    assert world.secret not in listed
    assert world.secret[:4] in listed


def test_the_first_of_several_keys_encrypts_and_all_decrypt(world: CoreHarness) -> None:
    new_key = Fernet.generate_key().decode()
    world.context = replace(world.context, secrets=SecretCipher([new_key, *world.keys]))
    world.bell = WebhookReceiver(world.context, rate=50, burst=1000)
    assert works(world, world.secret)
    rotated = world.call("system_rotate_disk_image_webhook_secret", webhook_id=str(world.webhook_id))
    assert SecretCipher([new_key]).decrypt(world.webhook().secret) == rotated["webhook_secret"]
    assert works(world, rotated["webhook_secret"])


def test_a_lost_key_is_an_outage_and_not_a_wrong_signature(world: CoreHarness) -> None:
    world.context = replace(world.context, secrets=SecretCipher([Fernet.generate_key().decode()]))
    world.bell = WebhookReceiver(world.context, rate=50, burst=1000)
    with pytest.raises(CatalogUnavailable, match="cannot be decrypted") as caught:
        world.post(world.body())
    assert world.secret not in str(caught.value)


def test_the_base_of_the_url_can_be_chosen_in_the_answer(world: CoreHarness) -> None:
    made = world.call("provision_disk_image_webhook", label="x", platform_api_base="http://[::1]:8480/press/")
    assert made["webhook_url"].startswith("http://[::1]:8480/press/api/v1/system/webhooks/")


@pytest.mark.parametrize(
    "base",
    ["ftp://x", "https://", "https://u:p@x", "https://x?a", "https://x#", "https://x?", "http://[::1", "https://x:99999",
     "https://x:0", "https://x y", "https://x\n", "press.example"],
)  # fmt: skip
def test_what_is_no_base_url_is_refused_by_name(world: CoreHarness, base: str) -> None:
    with pytest.raises(InvalidInput, match="is not a base URL") as caught:
        world.call("provision_disk_image_webhook", label="x", platform_api_base=base)
    assert caught.value.field == "platform_api_base"


@pytest.mark.parametrize("label", ["", "  ", "a\0b", "x" * 201])
def test_what_is_no_label_is_refused_by_name(world: CoreHarness, label: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        world.call("provision_disk_image_webhook", label=label)
    assert caught.value.field == "label"


def test_whoever_has_a_network_of_ipv6_addresses_is_one_client(world: CoreHarness) -> None:
    bell = WebhookReceiver(world.context, rate=50, burst=1000, monotonic=lambda: 0.0)

    def refused(client: str) -> type[Exception]:
        with pytest.raises((Unauthenticated, RateLimited)) as caught:
            bell.receive(world.webhook_id, headers={}, body=b"{}", client=client)
        return caught.type

    assert {refused(f"2001:db8::{number:x}") for number in range(FAILURES_AT_ONCE)} == {Unauthenticated}
    assert refused("2001:db8::ffff") is RateLimited
    assert refused("2001:db8:0:1::1") is Unauthenticated


class CountedSecret(str):
    """Notes each HMAC that it is the key of."""

    __slots__ = ("work",)
    work: list[str]

    def encode(self, *_: str) -> bytes:
        key = super().encode()
        self.work.append(f"HMAC with {len(key)} bytes")
        return key


class CountingBox(SecretCipher):
    """Notes what is decrypted, and what is done with it."""

    def __init__(self, keys: list[str]) -> None:
        super().__init__(keys)
        self.work: list[str] = []

    def decrypt(self, sealed: bytes) -> str:
        self.work.append(f"decryption of {len(sealed)} bytes")
        secret = CountedSecret(super().decrypt(sealed))
        secret.work = self.work
        return secret


def test_whatever_a_webhook_is_a_bad_signature_takes_the_same_work(world: CoreHarness) -> None:
    """One question to the database, one row in its answer, two decryptions, two HMACs, one answer to all.

    So it is for who rings at a webhook that is not active with the secret that it has, or had.
    """
    made = {label: world.call("provision_disk_image_webhook", label=label) for label in ("a", "b", "c", "d", "e")}
    ids = {label: UUID(one["webhook_id"]) for label, one in made.items()}
    for label, minutes in (("c", 10), ("d", 10), ("e", 1)):
        world.call("system_rotate_disk_image_webhook_secret", webhook_id=str(ids[label]), overlap_minutes=minutes)
    world.call("system_disable_disk_image_webhook", webhook_id=str(ids["b"]))
    world.call("system_revoke_disk_image_webhook", webhook_id=str(ids["c"]))
    world.clock.advance(minutes=5)
    box = CountingBox(world.keys)
    bell = WebhookReceiver(replace(world.context, secrets=box), rate=50, burst=1000)
    asked: list[tuple[str, int]] = []
    event.listen(world.catalog.engine, "after_cursor_execute", lambda *said: asked.append((said[2], rows(said[1]))))
    kinds = {"unknown": uuid4(), "no UUID": None, "of all zeros": UUID(int=0), **ids}
    work: dict[str, object] = {}
    for kind, webhook_id in kinds.items():
        signatures: list[str | None] = ["00" * 32, "no", None]
        if kind in {"b", "c", "e"}:
            signatures.append(sign_base64(made[kind]["webhook_secret"], b"{}"))
        for signature in signatures:
            asked.clear()
            box.work.clear()
            headers = {} if signature is None else {"x-powernode-signature": signature}
            with pytest.raises(Unauthenticated) as caught:
                bell.receive(webhook_id, headers=headers, body=b"{}", client=kind)
            work[f"{kind} {signature}"] = (tuple(asked), tuple(box.work), str(caught.value))
    assert len(set(work.values())) == 1
    (everywhere,) = set(work.values())
    assert isinstance(everywhere, tuple)
    assert sum("webhooks" in statement for statement, _ in everywhere[0]) == 1
    sealed = len(world.webhook().secret)
    assert everywhere[1] == (f"decryption of {sealed} bytes",) * 2 + ("HMAC with 43 bytes",) * 2


def rows(cursor: Any) -> int:
    """Return how many rows PostgreSQL found; SQLite's driver does not say."""
    return int(cursor.rowcount)
