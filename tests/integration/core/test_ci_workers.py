"""Listing CI workers: what the forge says of their runners now, and an error where it says nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bootpress.core.errors import ForgeUnavailable
from bootpress.core.ports import GitRepository, Runner
from tests.support.bootstrap_harness import IMAGES, BootstrapHarness
from tests.support.core_harness import CoreHarness

SEEN = datetime(2025, 6, 1, 11, tzinfo=UTC)


@pytest.fixture
def pipelines(world: CoreHarness) -> BootstrapHarness:
    return BootstrapHarness(world)


def register(
    pipelines: BootstrapHarness, name: str, *labels: str, online: bool = True, at: GitRepository = IMAGES,
    seen: datetime | None = None,
) -> None:  # fmt: skip
    runners = pipelines.at_forge(at).runners
    key = str(len(runners))
    runners[key] = Runner(key, name, is_online=online, is_busy=False, labels=labels, last_seen_at=seen)


def listed(pipelines: BootstrapHarness) -> list[dict[str, Any]]:
    workers: list[dict[str, Any]] = pipelines.world.call("system_list_ci_workers")["workers"]
    return workers


def test_a_worker_is_pending_until_its_runner_registers_then_as_the_forge_says(pipelines: BootstrapHarness) -> None:
    made = pipelines.call()
    [worker] = listed(pipelines)
    assert worker == {
        "id": made["ci_worker_id"],
        "name": "edge-builder",
        "role": "ci_worker",
        "status": "pending",
        "labels": [],
        "last_seen_at": None,
    }
    register(pipelines, "host-7", "disk-image-builder", "amd64")
    [worker] = listed(pipelines)
    assert (worker["status"], worker["labels"]) == ("online", ["disk-image-builder", "amd64"])
    assert worker["last_seen_at"] == "2025-06-01T12:00:00.000Z"
    pipelines.at_forge().runners.clear()
    register(pipelines, "host-7", "disk-image-builder", online=False)
    pipelines.world.clock.advance(hours=1)
    [worker] = listed(pipelines)
    assert (worker["status"], worker["last_seen_at"]) == ("offline", "2025-06-01T12:00:00.000Z")


def test_what_the_forge_says_of_when_a_runner_was_seen_counts(pipelines: BootstrapHarness) -> None:
    pipelines.call()
    register(pipelines, "host-7", online=False, seen=SEEN)
    assert listed(pipelines)[0]["last_seen_at"] == "2025-06-01T11:00:00.000Z"


def test_runners_of_one_repository_go_to_the_worker_they_are_called_after_and_it_is_asked_about_once(
    pipelines: BootstrapHarness,
) -> None:
    pipelines.call()
    pipelines.world.clock.advance(seconds=1)
    pipelines.call(label="arm", repo="Disk-Images")
    pipelines.call(label="other", repo="elsewhere")
    register(pipelines, "host-7", "disk-image-builder", "ARM")
    pipelines.asked()
    assert {one["name"]: one["status"] for one in listed(pipelines)} == {
        "edge-builder": "pending",
        "arm": "online",
        "other": "pending",
    }
    assert pipelines.asked() == {"list_runners": 2}


def test_while_the_forge_is_away_no_status_is_made_up(pipelines: BootstrapHarness) -> None:
    pipelines.call()
    pipelines.forge.away = True
    with pytest.raises(ForgeUnavailable):
        listed(pipelines)


def test_a_repository_that_is_gone_has_no_runners(pipelines: BootstrapHarness) -> None:
    pipelines.call()
    pipelines.forge.repositories.clear()
    assert [one["status"] for one in listed(pipelines)] == ["pending"]


def test_the_forge_is_not_asked_about_nothing(pipelines: BootstrapHarness) -> None:
    assert listed(pipelines) == []
    assert pipelines.asked().total() == 0
