"""SIGKILL amid twenty deliveries, and again amid taking them up, loses none and publishes none twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.oci import OciRegistries
from bootpress.core.references import Repository
from bootpress.stack import sample_image
from tests.support.processes import is_alive, wait_for
from tests.support.running_stack import FINISHED, Stack, running_stack

MANY = 20
TAKEN_UP_SECONDS = 60
"""DESIGN: `up` relaunches unfinished deliveries within 60 s of `ready`."""

pytestmark = pytest.mark.part("docker-registry")


@dataclass(frozen=True)
class Progress:
    """How far a delivery has come: in the catalog itself, since whoever would tell is killed."""

    status: str
    attempt: str | None
    attempt_status: str | None

    @property
    def is_unfinished(self) -> bool:
        return self.status not in FINISHED

    @property
    def is_begun(self) -> bool:
        return self.attempt_status == "running"


def progress(home: Path) -> dict[str, Progress]:
    """Return how far each delivery has come."""
    query = """SELECT d.id, d.status, a.id, a.status FROM webhook_deliveries d
               LEFT JOIN attempts a ON a.id = d.current_attempt_id"""
    with closing(sqlite3.connect(home / "bootpress.db", timeout=30)) as database:
        return {str(UUID(row[0])): Progress(*row[1:]) for row in database.execute(query)}


def kill_when(stack: Stack, reached: Callable[[dict[str, Progress]], bool], *, what: str) -> dict[str, Progress]:
    """Kill `up` as soon as something is so, and all that runs dies with it; return what is unfinished."""
    stack.program.wait_until(lambda: reached(progress(stack.home)), what=what, seconds=TAKEN_UP_SECONDS)
    stack.program.kill()
    pids = stack.endpoints["pids"].values()
    wait_for(lambda: not any(is_alive(pid) for pid in pids), what="everything is dead", seconds=20)
    return {key: one for key, one in progress(stack.home).items() if one.is_unfinished}


def taken_up(left: dict[str, Progress], now: dict[str, Progress]) -> set[str]:
    """Return which of the deliveries that were left are finished, or at work in another attempt than before."""
    return {
        key
        for key, before in left.items()
        if not now[key].is_unfinished
        or (now[key].is_begun and (now[key].attempt != before.attempt or not before.is_begun))
    }


@pytest.mark.timeout(420)
def test_killed_twice_in_the_middle_of_twenty_deliveries_publishes_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tuple((title, media_type, sample_image.MIB) for title, media_type, _ in sample_image.LAYERS)
    monkeypatch.setattr(sample_image, "LAYERS", small)
    home = tmp_path / "home"
    with running_stack(home) as stack:
        expected = announce_many(stack, tmp_path)
        left = kill_when(
            stack, lambda now: any(one.is_begun for one in now.values()), what="the first delivery is under way"
        )
        assert left.keys() <= expected
        assert any(one.is_begun for one in left.values())
    with running_stack(home) as stack:
        again = kill_when(stack, lambda now: bool(taken_up(left, now)), what="one that was left is taken up")
        assert again
    with running_stack(home) as stack:
        stack.program.wait_until(
            lambda: taken_up(again, progress(home)) == again.keys(),
            what="everything that was left is taken up",
            seconds=TAKEN_UP_SECONDS,
        )
        finished = stack.wait_for(expected, seconds=120)
        assert {one["status"] for one in finished.values()} == {"done"}
        events = stack.call("recent_events", kind_prefix="system.disk_image_published", limit=500)["events"]
        published = [event["payload"]["oci_digest"] for event in events]
        assert len(published) == len(set(published)) == MANY


def announce_many(stack: Stack, folder: Path) -> set[str]:
    """Push and sign images, announce all of them at once, and return the deliveries."""
    key = SigningKey.create()
    repository = Repository(stack.registry, "os/killed")
    with closing(OciRegistries()) as registries:
        workshop = sample_image.SampleImageBuilder(folder, repository, registries)
        stack.call(
            "system_create_node_platform",
            slug="killed",
            arch="amd64",
            oci_repository=str(repository),
            trust={"mode": "keys", "public_keys": [key.public_pem]},
        )
        for number in range(MANY):
            workshop.sign(key, workshop.push(f"v{number}", lambda _: None))
    webhook = stack.call("provision_disk_image_webhook", label="killed")
    answers = [
        stack.announce(webhook, platform_slug="killed", oci_ref=f"{repository}:v{number}") for number in range(MANY)
    ]
    assert {answer.status_code for answer in answers} == {202}
    return {answer.json()["delivery_id"] for answer in answers}
