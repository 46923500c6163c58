"""Tend builds, every minute: ask the forge how their runs are, recover lost callbacks, end what is past its deadline.

Bounded in time and number: a forge that is away costs one call a tick and goes to the end of the queue, and what was
not reached is first the next time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bootpress.core.builds import callbacks, completion, dispatch, rules
from bootpress.core.builds.models import Build
from bootpress.core.builds.recovery import recover
from bootpress.core.builds.states import BuildStatus
from bootpress.core.connections.service import open_forge
from bootpress.core.context import Context
from bootpress.core.errors import BootpressError, Conflict, ForgeUnavailable, OrchestratorUnavailable
from bootpress.core.pieces import update_in_pieces
from bootpress.core.ports import Forge, GitRepository, ResumeResult, RunStatus, WorkflowRun
from bootpress.core.retention.unreachable import Unreachable

SECONDS = 20.0
"""How long one tick begins new calls."""
BATCH_SIZE = 200
FLOW_START_GRACE = timedelta(seconds=30)
"""How long an operation may take to start the flow of what it dispatched."""
REPORT_TTL = timedelta(days=1)
"""After which no flow run is woken any more to report how its build ended."""
TIE_BREAK = timedelta(milliseconds=1)
WAITING = (Build.status.in_(rules.OPEN), Build.delivery_id.is_(None))
"""Condition of builds that have not ended, and were not called back."""
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class ReconcileReport:
    """What one tick did."""

    looked: int = 0
    ended: int = 0
    recovered: int = 0
    woken: int = 0
    troubles: list[str] = field(default_factory=list)
    """What could not be done, in words; it is tried again."""


def reconcile_builds(
    context: Context, *, seconds: float = SECONDS, monotonic: Callable[[], float] = time.monotonic
) -> ReconcileReport:
    """Look after the builds that have not ended, and wake the flow runs of those that have.

    Raises CatalogUnavailable, and nothing that a forge, a registry or the orchestrator does.
    """
    return _Tick(context, seconds, monotonic).run()


class _Tick:
    """One look at everything; a forge or registry that turns out to be unavailable is asked no more in it."""

    def __init__(self, context: Context, seconds: float, monotonic: Callable[[], float]) -> None:
        self._context = context
        self._seconds = seconds
        self._monotonic = monotonic
        self._until = monotonic() + seconds
        self._forges: dict[tuple[UUID, str], Forge | None] = {}
        self._unreachable = Unreachable()
        self._report = ReconcileReport()

    def run(self) -> ReconcileReport:
        for build in self._open_builds():
            if self._is_late():
                break
            with self._troubles(build):
                self._tend(build)
        self._until = self._monotonic() + self._seconds  # a forge that takes its time holds up no report
        for build in self._unreported():
            if self._is_late():
                break
            with self._troubles(build):
                self._wake(build)
        return self._report

    def _is_late(self) -> bool:
        return self._monotonic() >= self._until

    @contextmanager
    def _troubles(self, build: Build) -> Iterator[None]:
        try:
            yield
        except BootpressError as error:
            self._report.troubles.append(f"build {build.id}: {error}")

    def _put_back(self, build: Build, error: BootpressError) -> None:
        """Let others come first in the next tick; a forge that is away is asked nothing more in this one.

        Its builds are put back with the one that met it, which comes last: it may be what its forge stumbles over.
        """
        place = build.account_id, build.forge_name
        if place in self._forges and self._forges[place] is None:
            return  # with the others, already
        now, one = self._context.clock.now(), Build.id == build.id
        if isinstance(error, ForgeUnavailable):
            self._forges[place] = None
            there = (Build.account_id == build.account_id, Build.forge_name == build.forge_name)
            earlier = Build.last_polled_at.is_(None) | (Build.last_polled_at < now)
            update_in_pieces(self._context.catalog, Build, *there, *WAITING, earlier, values={"last_polled_at": now})
        with self._context.catalog.transaction() as session:
            session.execute(update(Build).where(one).values(last_polled_at=now + TIE_BREAK))

    def _open_builds(self) -> list[Build]:
        query = select(Build).where(*WAITING)
        with self._context.catalog.read_session() as session:
            return list(
                session.scalars(query.order_by(Build.last_polled_at.nulls_first(), Build.created_at).limit(BATCH_SIZE))
            )

    def _unreported(self) -> list[Build]:
        ended = select(Build).where(
            Build.reported_at.is_(None), Build.finished_at >= self._context.clock.now() - REPORT_TTL
        )
        with self._context.catalog.read_session() as session:
            return list(session.scalars(ended.order_by(Build.finished_at).limit(BATCH_SIZE)))

    def _tend(self, build: Build) -> None:
        now, was_answered = self._context.clock.now(), True
        try:
            if build.flow_run_id is None and now - build.created_at >= FLOW_START_GRACE:
                dispatch.start_flow(self._context, build.id)
            if rules.should_poll_forge(
                created_at=build.created_at,
                last_polled_at=build.last_polled_at,
                run_ended_at=build.run_ended_at,
                deadline_at=build.deadline_at,
                now=now,
            ):
                self._look(build, now)
        except BootpressError as error:
            was_answered = False
            self._put_back(build, error)
            raise
        finally:
            if rules.is_over(deadline_at=build.deadline_at, was_answered=was_answered, now=now):
                self._time_out(build.id, now)

    def _look(self, build: Build, now: datetime) -> None:
        """Ask the forge how a build's run is, and do what follows."""
        run = self._find_run(build)
        if not self._note(build.id, run, now):
            return
        is_last = now >= build.deadline_at
        if run is None:
            if is_last:  # which run it is was never known; its image may say so
                self._recover(build.id)
        elif run.status is RunStatus.COMPLETED and callbacks.find_callback(self._context, build.id) is None:
            ended_at = build.run_ended_at or now
            if run.conclusion != "success":
                self._end_with(run, build.id, now)
            elif is_last or now - ended_at >= rules.GRACE:  # we may have been away when it ended
                missing = self._recover(build.id)
                if missing and now - ended_at >= rules.RECOVERY_WINDOW:
                    said = f"its run ended well and did not call back, and {missing}: {run.url}"
                    self._give_up(build.id, "fail", said, now)

    def _find_run(self, build: Build) -> WorkflowRun | None:
        if build.run_id is None:
            return None
        return self._forge(build).find_run(GitRepository.parse(build.repo), build.run_id)

    def _forge(self, build: Build) -> Forge:
        place = build.account_id, build.forge_name
        if place not in self._forges:
            self._forges[place] = open_forge(self._context, *place)[1]
        forge = self._forges[place]
        if forge is None:
            raise Conflict(f"the forge {build.forge_name} is away")
        return forge

    def _note(self, build_id: UUID, run: WorkflowRun | None, now: datetime) -> bool:
        """Write down how a run is; False if the build was called back meanwhile."""
        with self._open(build_id) as (_, build):
            if build is None:
                return False
            build.last_polled_at = now
            if run is not None:
                build.run_url, build.head_sha = run.url, run.head_sha
                if run.status is not RunStatus.QUEUED:
                    build.status = rules.BUILD.transition("run", BuildStatus(build.status))
                if run.status is RunStatus.COMPLETED:
                    build.run_ended_at = build.run_ended_at or now
            self._report.looked += 1
            return True

    def _recover(self, build_id: UUID) -> str:
        """Announce what a build has pushed; return why that cannot be, an empty text when it could."""
        found = recover(self._context, build_id, self._unreachable)
        self._report.recovered += found.delivery_id is not None
        return found.reason

    def _end_with(self, run: WorkflowRun, build_id: UUID, now: datetime) -> None:
        if run.conclusion == "cancelled":
            with self._open(build_id) as (_, build):
                if build is not None:
                    completion.cancel(build, reason=f"its run was cancelled at the forge: {run.url}", at=now)
                    self._report.ended += 1
            return
        why = f"{run.reason} ({run.url})" if run.reason else f"{run.url}; get_gitea_job_logs shows why"
        said = f"its run ended with {run.conclusion or 'no conclusion'}: {why}"
        self._give_up(build_id, "fail", said, now)

    def _time_out(self, build_id: UUID, now: datetime) -> None:
        if callbacks.find_callback(self._context, build_id) is not None:
            return
        with self._context.catalog.read_session() as session:
            build = session.get_one(Build, build_id)
        run = f"run {build.run_id}" if build.run_id else "its run, which the forge did not name,"
        minutes = (build.deadline_at - build.created_at) // timedelta(minutes=1)
        self._give_up(build_id, "time out", f"{run} did not call back within {minutes} minutes", now)

    def _give_up(self, build_id: UUID, move: str, reason: str, now: datetime) -> None:
        with self._open(build_id) as (session, build):
            if build is not None:
                completion.fail_without_image(session, build, move, reason=reason, at=now)
                self._report.ended += 1

    @contextmanager
    def _open(self, build_id: UUID) -> Iterator[tuple[Session, Build | None]]:
        """Lock a build; None if it has ended, or was called back, since it was looked at."""
        with self._context.catalog.transaction() as session:
            build = session.get_one(Build, build_id, with_for_update=True)
            yield session, build if build.status in rules.OPEN and build.delivery_id is None else None

    def _wake(self, build: Build) -> None:
        """Let the flow run of a build that has ended say so; one that is over has nothing more to say."""
        if build.flow_run_id is None:
            dispatch.start_flow(self._context, build.id)
            return
        try:
            answer = self._context.launcher.resume(build.flow_run_id)
        except OrchestratorUnavailable:
            self._until = self._monotonic()  # the others would meet the same
            raise
        if answer is ResumeResult.RESUMED:
            self._report.woken += 1
        elif answer is ResumeResult.OVER:
            with self._context.catalog.transaction() as session:
                session.get_one(Build, build.id).reported_at = self._context.clock.now()
