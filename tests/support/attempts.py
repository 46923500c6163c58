"""What tests of deliveries and their attempts do again and again."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from bootpress.core.errors import OrchestratorUnavailable
from bootpress.core.ports import Work
from bootpress.core.publications import ingest
from bootpress.core.webhooks import attempts
from bootpress.core.webhooks.models import Attempt
from tests.support.core_world import World
from tests.support.fakes import FakeLauncher, Launch


class LostAnswers(FakeLauncher):
    """Starts every run, and never says so."""

    def answer(self) -> None:
        pass

    def launch(self, work: Work, subject: UUID, *, key: UUID, run_name: str) -> UUID:
        super().launch(work, subject, key=key, run_name=run_name)
        raise OrchestratorUnavailable("the answer was lost")


def announce_many(world: World, count: int, *, first: int = 0) -> list[UUID]:
    """Announce one reference for that many commits; return the deliveries."""
    return [world.announce(git_sha=f"{number:040x}") for number in range(first, first + count)]


def begin_launched(world: World, launch: Launch) -> UUID:
    """Begin what was launched for one delivery, as its run does; return the attempt."""
    assert launch.delivery_id is not None
    return attempts.begin(world.context, launch.delivery_id, attempt_id=launch.key, flow_run_id=launch.run_id)


def prove(world: World, attempt_id: UUID) -> None:
    """Take all steps of an attempt but the last, which publishes."""
    ingest.resolve(world.context, attempt_id)
    for step in ingest.STEPS:
        step(world.context, attempt_id)


def find_attempt(world: World, attempt_id: UUID) -> Attempt:
    """Return the row of an attempt."""
    with world.catalog.reading() as session:
        return session.get_one(Attempt, attempt_id)


def live_attempts(world: World) -> list[Attempt]:
    """Return the rows of all attempts that have not ended."""
    with world.catalog.reading() as session:
        return list(session.scalars(select(Attempt).where(Attempt.status != "ended")))
