"""Bootstrapping a pipeline: what it sets up, what a repeat changes, what it refuses before it writes anything."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from bootpress.core.accounts.lineage import MAX_GENERATIONS
from bootpress.core.accounts.service import authenticate, create_token
from bootpress.core.errors import (
    Conflict,
    Forbidden,
    ForgeRefused,
    ForgeUnavailable,
    InvalidInput,
    Unauthenticated,
)
from bootpress.core.ports import RegistryConnection
from bootpress.core.workers.signing_keys import create_key_pair
from tests.support.bootstrap_harness import ASKED, IMAGES, PUBLIC_REGISTRY, TEMPLATE, WORKFLOW, BootstrapHarness
from tests.support.core_harness import CoreHarness

URL = "https://press.example/api/v1/system/webhooks/disk_image/built/"
BASE = ["POWERNODE_WEBHOOK_URL", "POWERNODE_WEBHOOK_SECRET", "POWERNODE_DISK_IMAGE_WEBHOOK_SECRET"]
KEY = ["COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD"]


@pytest.fixture
def pipelines(world: CoreHarness) -> BootstrapHarness:
    return BootstrapHarness(world)


def rings(pipelines: BootstrapHarness, answer: dict[str, Any], secret: str) -> bool:
    try:
        pipelines.world.post(pipelines.world.body(), secret=secret, webhook_id=UUID(answer["webhook_id"]))
    except Unauthenticated:
        return False
    return True


def test_a_first_bootstrap_makes_everything_that_a_pipeline_needs(pipelines: BootstrapHarness) -> None:
    answer = pipelines.call(create_platform_read_token=True)

    assert (answer["ok"], answer["action"], answer["repo_created"]) == (True, "created", True)
    assert answer["webhook_url"] == URL + answer["webhook_id"]
    assert rings(pipelines, answer, answer["webhook_secret"])
    assert answer["ci_worker_token"] == "registers-at-acme/disk-images"
    assert answer["gitea_secrets_set"] == [*BASE, "POWERNODE_PLATFORM_READ_TOKEN", *KEY]
    assert answer["gitea_variables_set"] == ["POWERNODE_DISK_IMAGE_WEBHOOK_URL", "POWERNODE_OCI_REGISTRY"]
    assert answer["warnings"] == []
    there = pipelines.at_forge()
    assert there.files == TEMPLATE
    assert there.info.actions_enabled
    assert list(there.secrets) == answer["gitea_secrets_set"]
    assert there.variables == {
        "POWERNODE_DISK_IMAGE_WEBHOOK_URL": answer["webhook_url"],
        "POWERNODE_OCI_REGISTRY": PUBLIC_REGISTRY,
    }
    assert there.secrets["POWERNODE_WEBHOOK_URL"] == answer["webhook_url"]
    assert there.secrets["POWERNODE_WEBHOOK_SECRET"] == answer["webhook_secret"]
    assert there.secrets["POWERNODE_DISK_IMAGE_WEBHOOK_SECRET"] == answer["webhook_secret"]
    [worker] = pipelines.workers()
    assert str(worker.id) == answer["ci_worker_id"]
    assert (worker.label, worker.repo, worker.forge_name) == ("edge-builder", "acme/disk-images", "default")
    assert worker.public_key == answer["cosign_public_key"]
    assert worker.unconfirmed_key is None
    assert pipelines.webhook_of(answer).unconfirmed_since is None
    [saga] = pipelines.sagas()
    assert (saga.status, saga.encrypted_result, str(saga.flow_run_id)) == ("done", None, answer["flow_run_id"])


def test_a_bootstrap_asks_the_forge_for_nothing_twice(pipelines: BootstrapHarness) -> None:
    pipelines.call(platform_slug="edge", create_platform_read_token=True)
    first = pipelines.asked()
    assert max(first.values()) == 1
    assert set(first) == {
        "check", "find_repository", "create_repository", "add_files", "registration_token",
        "set_variable POWERNODE_DISK_IMAGE_WEBHOOK_URL", "set_variable POWERNODE_OCI_REGISTRY",
        "set_variable POWERNODE_PLATFORM_SLUG",
        *(f"set_secret {name}" for name in [*BASE, "POWERNODE_PLATFORM_READ_TOKEN", *KEY]),
    }  # fmt: skip
    pipelines.call(platform_slug="edge", create_platform_read_token=True)
    again = pipelines.asked()
    assert max(again.values()) == 1
    assert set(again) - set(first) == {"list_secrets"}
    assert set(first) - set(again) == {"create_repository", *(f"set_secret {name}" for name in KEY)}


def test_a_repeat_rotates_and_never_duplicates(pipelines: BootstrapHarness) -> None:
    first = pipelines.call(create_platform_read_token=True)
    old = pipelines.at_forge().secrets["POWERNODE_PLATFORM_READ_TOKEN"]
    key = pipelines.at_forge().secrets["COSIGN_PRIVATE_KEY"]
    again = pipelines.call(label="  EDGE-builder ", create_platform_read_token=True)

    assert (again["action"], again["repo_created"]) == ("rotated", False)
    for same in ("webhook_id", "webhook_url", "ci_worker_id", "cosign_public_key"):
        assert again[same] == first[same]
    assert again["webhook_secret"] != first["webhook_secret"]
    assert [one.label for one in pipelines.workers()] == ["edge-builder"]
    assert [one.label for one in pipelines.webhooks()] == ["edge-builder"]
    there = pipelines.at_forge()
    assert there.secrets["POWERNODE_WEBHOOK_SECRET"] == again["webhook_secret"]
    assert there.secrets["COSIGN_PRIVATE_KEY"] == key
    assert again["gitea_secrets_set"] == [*BASE, "POWERNODE_PLATFORM_READ_TOKEN"]
    with pytest.raises(Unauthenticated):
        authenticate(pipelines.world.context, old)
    authenticate(pipelines.world.context, there.secrets["POWERNODE_PLATFORM_READ_TOKEN"])
    assert any("ci_worker_token is the same as before" in said for said in again["warnings"])


def test_after_a_rotation_the_old_secret_holds_for_builds_in_flight_and_no_longer(pipelines: BootstrapHarness) -> None:
    pipelines.world.platform("edge", build_timeout_minutes=30)
    first = pipelines.call(platform_slug="edge")
    second = pipelines.call(platform_slug="edge")
    assert [rings(pipelines, first, one["webhook_secret"]) for one in (first, second)] == [True, True]
    pipelines.world.clock.advance(minutes=30)
    assert [rings(pipelines, first, one["webhook_secret"]) for one in (first, second)] == [False, True]


def test_while_a_rotation_is_not_confirmed_both_secrets_hold_and_a_third_is_never_made(
    pipelines: BootstrapHarness,
) -> None:
    first = pipelines.call()
    pipelines.forge.fail_at = ["set_secret POWERNODE_DISK_IMAGE_WEBHOOK_SECRET"]
    with pytest.raises(ForgeUnavailable):
        pipelines.call()
    offered = pipelines.at_forge().secrets["POWERNODE_WEBHOOK_SECRET"]
    pipelines.world.clock.advance(days=30)
    assert [rings(pipelines, first, secret) for secret in (first["webhook_secret"], offered)] == [True, True]
    again = pipelines.call()
    assert again["webhook_secret"] == offered
    assert len(pipelines.world.events("webhook_secret_rotated")) == 1


def test_files_of_the_repository_are_left_as_they_are(pipelines: BootstrapHarness) -> None:
    pipelines.call()
    pipelines.at_forge().files[WORKFLOW] = b"ours"
    pipelines.at_forge().files.pop("build.sh")
    pipelines.call()
    assert pipelines.at_forge().files == {WORKFLOW: b"ours", "build.sh": TEMPLATE["build.sh"]}


def test_a_repository_whose_actions_are_off_gets_them_switched_on(pipelines: BootstrapHarness) -> None:
    info = pipelines.forge.create_repository(IMAGES)
    pipelines.at_forge().info = replace(info, actions_enabled=False)
    assert pipelines.call()["repo_created"] is False
    assert pipelines.at_forge().info.actions_enabled
    assert pipelines.asked()["enable_actions"] == 1


def test_of_two_bootstraps_at_once_one_waits_for_the_other_and_rotates(pipelines: BootstrapHarness) -> None:
    context = pipelines.world.context
    pipelines.world.context = replace(context, limits=replace(context.limits, saga_seconds=20))
    slow = threading.Event()
    forge: Any = pipelines.mortal()
    forge.add_files = lambda *given, **named: slow.wait(0.3) or pipelines.forge.add_files(*given, **named)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda label: pipelines.call(label=label), ("edge-builder", "EDGE-builder ")))
    assert sorted(one["action"] for one in answers) == ["created", "rotated"]
    assert sorted(one["repo_created"] for one in answers) == [False, True]
    assert len({one["webhook_id"] for one in answers}) == len(pipelines.workers()) == len(pipelines.webhooks()) == 1
    last = pipelines.at_forge().secrets["POWERNODE_WEBHOOK_SECRET"]
    assert last in {one["webhook_secret"] for one in answers if one["action"] == "rotated"}
    assert all(rings(pipelines, one, one["webhook_secret"]) for one in answers)


# ---- before any row is written


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"owner": "a/b"}, "owner"),
        ({"repo": "acme/disk-images"}, "repo"),
        ({"repo": "x.git"}, "repo"),
        ({"label": "  "}, "label"),
        ({"label": "x" * 201}, "label"),
        ({"platform_api_base": "ftp://press.example"}, "platform_api_base"),
        ({"rotate_signing_key": True, "create_signing_key": False}, "rotate_signing_key"),
        ({"create_signing_key": None}, "create_signing_key"),
        ({"token": "x"}, "token"),
    ],
)
def test_what_is_malformed_is_refused_by_name(pipelines: BootstrapHarness, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        pipelines.call(**fields)
    assert caught.value.field == field
    assert nothing_is_there(pipelines)


def test_what_the_forge_would_refuse_is_refused_before_a_row_is_written(pipelines: BootstrapHarness) -> None:
    forge = pipelines.forge
    forge.fail_at, forge.fail_with = ["check"], ForgeRefused("the token is not accepted", hint="make another")
    with pytest.raises(ForgeRefused, match="not accepted"):
        pipelines.call()
    forge.fail_with = None
    forge.info = replace(forge.info, missing_scopes=("write:repository", "unknown"))
    with pytest.raises(ForgeRefused, match="lacks the scopes write:repository"):
        pipelines.call()
    forge.info = replace(forge.info, missing_scopes=("unknown",), actions_enabled=False)
    with pytest.raises(ForgeRefused, match="Actions switched off"):
        pipelines.call()
    forge.info = replace(forge.info, actions_enabled=True)
    info = forge.create_repository(IMAGES)
    pipelines.at_forge().info = replace(info, may_administer=False)
    with pytest.raises(ForgeRefused, match="acme/disk-images is not keeper's to administer"):
        pipelines.call()
    forge.away = True
    with pytest.raises(ForgeUnavailable):
        pipelines.call()
    assert nothing_is_there(pipelines)
    assert pipelines.sagas() == []


def test_without_a_forge_the_operation_to_connect_one_is_named(world: CoreHarness) -> None:
    with pytest.raises(Conflict) as caught:
        world.call("bootstrap_disk_image_ci", **ASKED)
    assert "system_connect_forge" in str(caught.value.hint)


def test_whoever_lacks_the_permission_is_told_its_name(pipelines: BootstrapHarness) -> None:
    with pytest.raises(Forbidden, match=r"system\.disk_image_ci\.bootstrap"):
        pipelines.world.call("bootstrap_disk_image_ci", pipelines.world.new_caller("acme", "other"), **ASKED)


def test_an_owner_that_does_not_exist_leaves_no_row_behind(pipelines: BootstrapHarness) -> None:
    pipelines.forge.fail_at = ["create_repository"]
    pipelines.forge.fail_with = ForgeRefused("there is no organisation acme", hint="create it")
    with pytest.raises(ForgeRefused, match="no organisation acme") as caught:
        pipelines.call()
    assert caught.value.hint == "create it"
    assert nothing_is_there(pipelines)


@pytest.mark.parametrize(
    "call",
    [
        "add_files",
        "registration_token",
        "set_variable POWERNODE_OCI_REGISTRY",
        *(f"set_secret {name}" for name in BASE),
    ],
)
def test_a_first_bootstrap_that_the_forge_refuses_leaves_no_row_secret_or_token(
    pipelines: BootstrapHarness, call: str
) -> None:
    pipelines.forge.fail_at, pipelines.forge.fail_with = [call], ForgeRefused("this name is not allowed")
    with pytest.raises(ForgeRefused, match="not allowed"):
        pipelines.call(create_platform_read_token=True)
    assert nothing_is_there(pipelines)
    assert pipelines.at_forge().secrets == {}
    answer = pipelines.call(create_platform_read_token=True)
    assert answer["action"] == "created"
    authenticate(pipelines.world.context, pipelines.at_forge().secrets["POWERNODE_PLATFORM_READ_TOKEN"])


def test_a_webhook_that_was_there_before_a_bootstrap_failed_is_there_after_it(pipelines: BootstrapHarness) -> None:
    made = pipelines.world.call("provision_disk_image_webhook", label="edge-builder")
    pipelines.forge.fail_at = [f"set_secret {BASE[0]}"]
    with pytest.raises(ForgeUnavailable):
        pipelines.call()
    assert [str(one.id) for one in pipelines.webhooks()] == [made["webhook_id"]]
    assert rings(pipelines, made, made["webhook_secret"])
    assert pipelines.call()["action"] == "rotated"


def nothing_is_there(pipelines: BootstrapHarness) -> bool:
    return not (pipelines.workers() or pipelines.webhooks() or pipelines.tokens())


# ---- keys


def test_where_jobs_have_an_identity_no_key_is_made_unless_asked_for(pipelines: BootstrapHarness) -> None:
    pipelines.forge.has_oidc = True
    answer = pipelines.call()
    assert (answer["cosign_public_key"], answer["gitea_secrets_set"]) == (None, BASE)
    assert pipelines.call(create_signing_key=True)["cosign_public_key"].startswith("-----BEGIN PUBLIC KEY")


def test_a_key_is_rotated_when_asked_for_and_made_again_when_the_repository_lost_it(
    pipelines: BootstrapHarness,
) -> None:
    first = pipelines.call()
    second = pipelines.call(rotate_signing_key=True)
    assert second["cosign_public_key"] != first["cosign_public_key"]
    assert second["gitea_secrets_set"] == [*BASE, *KEY]
    assert any("the signing key is another now" in said for said in second["warnings"])
    del pipelines.at_forge().secrets["COSIGN_PASSWORD"]
    third = pipelines.call()
    assert third["cosign_public_key"] != second["cosign_public_key"]
    assert any("has the signing key of before no more" in said for said in third["warnings"])


def test_a_key_that_was_not_made_here_is_replaced_only_when_asked_for(pipelines: BootstrapHarness) -> None:
    pipelines.forge.create_repository(IMAGES)
    theirs = {"COSIGN_PRIVATE_KEY": "theirs", "COSIGN_PASSWORD": "too"}
    pipelines.at_forge().secrets |= theirs
    kept = pipelines.call()
    assert pipelines.at_forge().secrets.items() >= theirs.items()
    assert (kept["cosign_public_key"], kept["gitea_secrets_set"]) == (None, BASE)
    assert any("was not made here: it is kept" in said for said in kept["warnings"])
    assert pipelines.call(create_signing_key=True)["cosign_public_key"] is not None
    assert "PRIVATE KEY" in pipelines.at_forge().secrets["COSIGN_PRIVATE_KEY"]


def test_a_platform_that_does_not_trust_the_key_is_named(pipelines: BootstrapHarness) -> None:
    pipelines.world.platform("edge")
    answer = pipelines.call(platform_slug="edge")
    assert any("the platform edge does not trust the key" in said for said in answer["warnings"])
    trust = {"mode": "keys", "public_keys": [create_key_pair().public_pem, answer["cosign_public_key"]]}
    pipelines.world.call("system_update_node_platform", id="edge", trust=trust)
    assert pipelines.call(platform_slug="edge")["warnings"][:-1] == []
    assert pipelines.at_forge().variables["POWERNODE_PLATFORM_SLUG"] == "edge"
    pipelines.call(platform_slug=pipelines.world.call("system_list_node_platforms")["node_platforms"][0]["id"])
    assert pipelines.at_forge().variables["POWERNODE_PLATFORM_SLUG"] == "edge"
    unknown = pipelines.call(platform_slug="nobody")
    assert any("no node platform 'nobody' yet" in said for said in unknown["warnings"])


@pytest.mark.parametrize("slug", ["Not Valid", "edge/", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"])
def test_a_slug_that_no_platform_can_have_is_refused_before_anything_is_made(
    pipelines: BootstrapHarness, slug: str
) -> None:
    before = pipelines.world.call("system_list_disk_image_webhooks")
    with pytest.raises(InvalidInput, match="none can be called so") as caught:
        pipelines.call(platform_slug=slug)
    assert caught.value.field == "platform_slug"
    assert pipelines.world.call("system_list_disk_image_webhooks") == before
    assert pipelines.workers() == []


# ---- read token


def test_a_read_token_reads_and_does_nothing_else(pipelines: BootstrapHarness) -> None:
    pipelines.call(create_platform_read_token=True)
    world = pipelines.world
    caller = authenticate(world.context, pipelines.at_forge().secrets["POWERNODE_PLATFORM_READ_TOKEN"])
    assert caller.account_id == world.account_id
    assert world.call("system_list_node_platforms", caller)["node_platforms"] == []
    with pytest.raises(Forbidden):
        world.call("provision_disk_image_webhook", caller, label="x")
    assert all(permission.endswith(".read") for permission in caller.permissions)


def test_nobody_gets_a_read_token_that_reads_more_than_he_may(pipelines: BootstrapHarness) -> None:
    world, may = pipelines.world, "system.disk_image_ci.bootstrap"
    asked = {**ASKED, "create_platform_read_token": True}
    with pytest.raises(Forbidden, match="lacks every permission to read"):
        world.call("bootstrap_disk_image_ci", world.new_caller("acme", may), **asked)
    assert nothing_is_there(pipelines)
    world.call("bootstrap_disk_image_ci", world.new_caller("acme", may, "system.events.read"), **asked)
    token = pipelines.at_forge().secrets["POWERNODE_PLATFORM_READ_TOKEN"]
    assert authenticate(world.context, token).permissions == {"system.events.read"}


def test_a_read_token_that_was_never_handed_over_is_not_handed_to_somebody_who_may_read_less(
    pipelines: BootstrapHarness,
) -> None:
    pipelines.call()
    pipelines.forge.fail_at = [f"set_secret {BASE[0]}"]
    with pytest.raises(ForgeUnavailable):
        pipelines.call(create_platform_read_token=True)
    world = pipelines.world
    other = world.new_caller("acme", "system.disk_image_ci.bootstrap", "system.events.read")
    world.call("bootstrap_disk_image_ci", other, **ASKED, create_platform_read_token=True)
    token = pipelines.at_forge().secrets["POWERNODE_PLATFORM_READ_TOKEN"]
    assert authenticate(world.context, token).permissions == {"system.events.read"}
    assert len([one for one in pipelines.tokens() if one.ci_worker_id and not one.revoked_at]) == 1


def test_a_read_token_ends_with_the_token_that_asked_for_it(pipelines: BootstrapHarness) -> None:
    world = pipelines.world
    asked = {**ASKED, "create_platform_read_token": True}

    def bootstrap(**fields: Any) -> tuple[UUID, dict[str, Any]]:
        token_id, text = create_token(
            world.context, account_id=world.account_id, name="operator", permissions=["*"], **fields
        )
        return token_id, world.call("bootstrap_disk_image_ci", authenticate(world.context, text), **asked)

    _, said = bootstrap(expires_at=world.clock.now() + timedelta(days=1))
    [token] = [one for one in pipelines.tokens() if one.ci_worker_id]
    assert token.expires_at == world.clock.now() + timedelta(days=1)
    assert any("the read token expires at 2025-06-02T12:00:00Z, with yours" in one for one in said["warnings"])
    operator, said = bootstrap()
    assert not any("expires" in one for one in said["warnings"])
    text = pipelines.at_forge().secrets["POWERNODE_PLATFORM_READ_TOKEN"]
    world.clock.advance(days=2)
    assert authenticate(world.context, text).account_id == world.account_id
    world.call("revoke_api_token", id=str(operator))
    with pytest.raises(Unauthenticated):
        authenticate(world.context, text)


def test_a_token_that_can_mint_no_read_token_is_refused_before_anything_is_made(pipelines: BootstrapHarness) -> None:
    world = pipelines.world
    caller = world.caller
    for _ in range(MAX_GENERATIONS + 1):
        parent_id = caller.token_id if caller is not world.caller else None
        _, text = create_token(
            world.context, account_id=world.account_id, name="child", permissions=["*"], parent_id=parent_id
        )
        caller = authenticate(world.context, text)
    with pytest.raises(Forbidden, match="no token descends from more"):
        world.call("bootstrap_disk_image_ci", caller, **ASKED, create_platform_read_token=True)
    assert pipelines.forge.repositories == {}
    world.call("bootstrap_disk_image_ci", caller, **ASKED)


def test_a_repeat_without_a_read_token_revokes_it_and_says_so(pipelines: BootstrapHarness) -> None:
    pipelines.call(create_platform_read_token=True)
    token = pipelines.at_forge().secrets["POWERNODE_PLATFORM_READ_TOKEN"]
    again = pipelines.call()
    assert "POWERNODE_PLATFORM_READ_TOKEN" not in pipelines.at_forge().secrets
    with pytest.raises(Unauthenticated):
        authenticate(pipelines.world.context, token)
    assert any("read token is revoked" in said for said in again["warnings"])
    assert "POWERNODE_PLATFORM_READ_TOKEN" not in again["gitea_secrets_set"]


# ---- registries, addresses, neighbours


def test_the_registry_is_the_accounts_default_with_its_credential(pipelines: BootstrapHarness) -> None:
    world = pipelines.world
    world.connections.save_registry(world.account_id, RegistryConnection("other", "other.example"))
    world.connections.save_registry(
        world.account_id,
        RegistryConnection("default", "images.example", username="ci", token="registry-password", plain_http=True),
    )
    answer = pipelines.call()
    assert pipelines.at_forge().variables["POWERNODE_OCI_REGISTRY"] == "images.example"
    assert pipelines.at_forge().variables["POWERNODE_REGISTRY_PLAIN_HTTP"] == "true"
    assert pipelines.at_forge().secrets["POWERNODE_REGISTRY_USER"] == "ci"
    assert pipelines.at_forge().secrets["POWERNODE_REGISTRY_TOKEN"] == "registry-password"
    assert answer["gitea_secrets_set"][-2:] == ["POWERNODE_REGISTRY_USER", "POWERNODE_REGISTRY_TOKEN"]


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000"])
def test_what_only_this_machine_reaches_is_warned_of(pipelines: BootstrapHarness, host: str) -> None:
    pipelines.world.context = replace(pipelines.world.context, local_registry=lambda: host)
    said = pipelines.call(platform_api_base=f"http://{host}/")["warnings"]
    assert any(f"POWERNODE_OCI_REGISTRY is {host}" in one for one in said)
    assert any(f"begins with http://{host}," in one for one in said)
    assert pipelines.at_forge().variables["POWERNODE_OCI_REGISTRY"] == host


def test_without_a_registry_the_variable_is_left_out_and_its_absence_said(pipelines: BootstrapHarness) -> None:
    pipelines.world.context = replace(pipelines.world.context, local_registry=lambda: None)
    answer = pipelines.call(platform_api_base="https://other.example/press")
    assert answer["gitea_variables_set"] == ["POWERNODE_DISK_IMAGE_WEBHOOK_URL"]
    assert any("no registry is known" in one for one in answer["warnings"])
    assert answer["webhook_url"].startswith("https://other.example/press/api/v1/")


def test_a_second_label_of_one_repository_shares_its_key_and_is_told_of_the_first(pipelines: BootstrapHarness) -> None:
    first = pipelines.call()
    second = pipelines.call(label="other")
    assert second["ci_worker_id"] != first["ci_worker_id"]
    assert second["cosign_public_key"] == first["cosign_public_key"]
    assert any("acme/disk-images is edge-builder's too" in one for one in second["warnings"])


def test_a_label_that_moves_to_another_repository_takes_its_worker_along_and_gets_a_key_there(
    pipelines: BootstrapHarness,
) -> None:
    first = pipelines.call()
    moved = pipelines.call(repo="elsewhere")
    assert (moved["ci_worker_id"], moved["action"], moved["repo_created"]) == (first["ci_worker_id"], "rotated", True)
    assert any("was acme/disk-images's before" in one for one in moved["warnings"])
    assert moved["cosign_public_key"] != first["cosign_public_key"]
    assert moved["gitea_secrets_set"] == [*BASE, *KEY]


def test_a_disabled_webhook_stays_disabled_and_is_warned_of(pipelines: BootstrapHarness) -> None:
    first = pipelines.call()
    pipelines.world.call("system_disable_disk_image_webhook", webhook_id=first["webhook_id"])
    again = pipelines.call()
    assert any("the webhook is disabled" in one for one in again["warnings"])
    assert pipelines.webhook_of(again).status == "disabled"


def test_a_revoked_webhook_is_followed_by_another_of_the_same_worker(pipelines: BootstrapHarness) -> None:
    first = pipelines.call()
    pipelines.world.call("system_revoke_disk_image_webhook", webhook_id=first["webhook_id"])
    again = pipelines.call()
    assert again["webhook_id"] != first["webhook_id"]
    assert (again["ci_worker_id"], again["action"]) == (first["ci_worker_id"], "created")


def test_a_secret_that_somebody_rotates_meanwhile_is_not_confirmed(pipelines: BootstrapHarness) -> None:
    first = pipelines.call()
    token = pipelines.forge.registration_token

    def rotated(repository: Any) -> str:
        pipelines.world.call("system_rotate_disk_image_webhook_secret", webhook_id=first["webhook_id"])
        return token(repository)

    forge: Any = pipelines.mortal()
    forge.registration_token = rotated
    with pytest.raises(Conflict, match="was changed or revoked while it was handed over"):
        pipelines.call()
