"""What tests of deliveries and their attempts do again and again."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.models import Attempt
from bootpress.core.errors import OrchestratorUnavailable
from bootpress.core.ports import JobKind
from bootpress.core.publications import ingest
from tests.support.core_harness import CoreHarness
from tests.support.fakes import FakeLauncher, Launch


class LostAnswers(FakeLauncher):
    """Starts every run, and never says so."""

    def answer(self) -> None:
        pass

    def launch(self, work: JobKind, subject: UUID, *, key: UUID, run_name: str) -> UUID:
        super().launch(work, subject, key=key, run_name=run_name)
        raise OrchestratorUnavailable("the answer was lost")


def announce_many(world: CoreHarness, count: int, *, first: int = 0) -> list[UUID]:
    """Announce one reference for that many commits; return the deliveries."""
    return [world.announce(git_sha=f"{number:040x}") for number in range(first, first + count)]


def begin_launched(world: CoreHarness, launch: Launch) -> UUID:
    """Begin what was launched for one delivery, as its run does; return the attempt."""
    assert launch.delivery_id is not None
    return attempts.start(world.context, launch.delivery_id, attempt_id=launch.key, flow_run_id=launch.run_id)


def prove(world: CoreHarness, attempt_id: UUID) -> None:
    """Take all steps of an attempt but the last, which publishes."""
    ingest.resolve(world.context, attempt_id)
    for step in ingest.STEPS:
        step(world.context, attempt_id)


def find_attempt(world: CoreHarness, attempt_id: UUID) -> Attempt:
    """Return the row of an attempt."""
    with world.catalog.read_session() as session:
        return session.get_one(Attempt, attempt_id)


def live_attempts(world: CoreHarness) -> list[Attempt]:
    """Return the rows of all attempts that have not ended."""
    with world.catalog.read_session() as session:
        return list(session.scalars(select(Attempt).where(Attempt.status != "ended")))
