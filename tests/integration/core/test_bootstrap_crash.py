"""A bootstrap that is killed at any call to the forge, before it or between its answer and the record of it.

Run again it ends as one that was never killed: one webhook, one worker, one set of secrets, all of which work; also
when another run goes on for the dead one at once.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from bootpress.core.accounts.service import authenticate
from bootpress.core.errors import Unauthenticated
from bootpress.core.ports import JobKind
from bootpress.core.sagas import store
from bootpress.core.sagas.store import SagaLease
from bootpress.core.workers import bootstrap
from tests.support.bootstrap_harness import TEMPLATE, BootstrapHarness, CrashingForge, Killed
from tests.support.core_harness import CoreHarness
from tests.support.fakes import Launch

FIRST = 14
"""Calls to the forge of a first bootstrap with everything; the first two come before any row is written."""
REPEAT = 13
ALL: dict[str, Any] = {"platform_slug": "edge", "create_platform_read_token": True, "create_signing_key": True}


@pytest.fixture
def pipelines(world: CoreHarness) -> BootstrapHarness:
    return BootstrapHarness(world)


def test_the_calls_that_these_tests_kill_at_are_all_there_are(pipelines: BootstrapHarness) -> None:
    pipelines.call(**ALL)
    assert pipelines.asked().total() == FIRST
    pipelines.call(**ALL, rotate_signing_key=True)
    assert pipelines.asked().total() == REPEAT


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_first_bootstrap_killed_anywhere_and_called_again_ends_in_the_same_state(
    pipelines: BootstrapHarness, *, after: bool
) -> None:
    killed_and_again(pipelines, FIRST, after=after, label="edge-builder {}")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_repeat_killed_anywhere_and_called_again_ends_in_the_same_state(
    pipelines: BootstrapHarness, *, after: bool
) -> None:
    first = pipelines.call(**ALL)
    pipelines.asked()
    killed_and_again(pipelines, REPEAT, after=after, label="edge-builder", rotate_signing_key=True)
    [worker] = pipelines.workers()
    assert str(worker.id) == first["ci_worker_id"]


def killed_and_again(pipelines: BootstrapHarness, calls: int, *, after: bool, label: str, **fields: Any) -> None:
    forge = pipelines.mortal()
    for number in range(calls):
        given = {**ALL, **fields, "label": label.format(number), "repo": label.format(number).replace(" ", "-")}
        forge.dies(number, after=after)
        with pytest.raises(Killed):
            pipelines.call(**given)
        forge.dies(-1, after=False)
        pipelines.world.clock.advance(minutes=5)
        answer = pipelines.call(**given)
        assert_whole(pipelines, answer, given)


def assert_whole(pipelines: BootstrapHarness, answer: dict[str, Any], given: dict[str, Any]) -> None:
    """Everything that a pipeline needs is there, once, and what the forge has is what holds here."""
    world, label = pipelines.world, given["label"]
    [worker] = [one for one in pipelines.workers() if one.label == label]
    [webhook] = [one for one in pipelines.webhooks() if one.label == label]
    assert (str(worker.id), str(webhook.id)) == (answer["ci_worker_id"], answer["webhook_id"])
    assert (worker.webhook_id, worker.unconfirmed_key, webhook.unconfirmed_since) == (webhook.id, None, None)
    repository = next(one for name, one in pipelines.forge.repositories.items() if name.name == given["repo"])
    assert repository.files == TEMPLATE
    assert repository.secrets["POWERNODE_WEBHOOK_SECRET"] == answer["webhook_secret"]
    assert repository.secrets["POWERNODE_DISK_IMAGE_WEBHOOK_SECRET"] == answer["webhook_secret"]
    world.post(world.body(git_sha=f"{len(world.events())}"), secret=answer["webhook_secret"], webhook_id=webhook.id)
    mine = [token for token in pipelines.tokens() if token.ci_worker_id == worker.id]
    assert [token.id for token in mine if token.revoked_at is None] == [worker.read_token_id]
    token = repository.secrets["POWERNODE_PLATFORM_READ_TOKEN"]
    assert authenticate(world.context, token).token_id == worker.read_token_id
    assert answer["cosign_public_key"] == worker.public_key
    assert repository.variables["POWERNODE_PLATFORM_SLUG"] == "edge"
    assert repository.variables["POWERNODE_DISK_IMAGE_WEBHOOK_URL"] == answer["webhook_url"]
    assert set(repository.secrets) >= {"COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_another_run_that_goes_on_for_a_dead_one_repeats_the_call_it_died_at_and_no_other(
    pipelines: BootstrapHarness, *, after: bool
) -> None:
    forge = pipelines.mortal()
    for number in range(2, FIRST):
        label = f"edge-builder-{number}"
        pipelines.world.launcher.runs[JobKind.BOOTSTRAP] = dying_once(pipelines, forge, number - 2, after=after)
        forge.dies(-1, after=False)
        answer = pipelines.call(**ALL, label=label, repo=label)
        assert answer["action"] == "created"
        assert answer["repo_created"] is True
        asked = pipelines.asked()
        assert asked.total() == FIRST + (1 if after else 0), number
        assert_whole(pipelines, answer, {"label": label, "repo": label})


def dying_once(pipelines: BootstrapHarness, forge: CrashingForge, number: int, *, after: bool) -> Any:
    """Return what runs do: the first dies at the nth call, and the next goes on."""
    deaths: list[UUID] = []

    def run(launch: Launch) -> None:
        hold = SagaLease(launch.subject, launch.run_id)
        store.begin(pipelines.world.context, hold)
        forge.dies(number if not deaths else -1, after=after)
        try:
            for step in bootstrap.STEPS:
                step(pipelines.world.context, hold)
        except Killed:
            deaths.append(launch.run_id)
            pipelines.world.clock.advance(seconds=31)

    return run


def test_what_a_killed_bootstrap_leaves_opens_nothing_new_to_anybody(pipelines: BootstrapHarness) -> None:
    forge = pipelines.mortal()
    forge.dies(FIRST - 1, after=True)  # the last secret is set, and nothing of it confirmed
    with pytest.raises(Killed):
        pipelines.call(**ALL)
    [webhook], [worker] = pipelines.webhooks(), pipelines.workers()
    kept = b"".join(
        filter(None, [webhook.secret, worker.unconfirmed_key, *(p.encrypted_result for p in pipelines.sagas())])
    )
    for secret in pipelines.at_forge().secrets.values():
        assert secret.encode() not in kept
    assert not any(token.token_sha256 in kept.decode() for token in pipelines.tokens())
    with pytest.raises(Unauthenticated):
        pipelines.world.post(pipelines.world.body(), secret="registers-at-acme/disk-images", webhook_id=webhook.id)
