"""Callbacks: a delivery that a build waits for wakes the build's flow run, in place of starting another one.

Everything else about the delivery is as with any other: its attempt, its lease, who may decide. A flow run that does
not wake costs no more than a lease; then the relay has the delivery ingested by a run of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from bootpress.core.builds import completion, rules
from bootpress.core.builds.models import Build
from bootpress.core.builds.states import BuildStatus
from bootpress.core.context import Context
from bootpress.core.database import Database
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.deliveries.payload import read_announcement
from bootpress.core.deliveries.rules import GIVE_UP_AFTER
from bootpress.core.deliveries.states import AttemptStatus, DeliveryStatus
from bootpress.core.errors import InvalidInput, NotFound
from bootpress.core.ports import JobKind, Launcher, ResumeResult

RESUME_BACKOFF = (0.1, 0.2, 0.4)
"""Seconds between tries to wake a run that is just going to sleep; then it finds the delivery before it does."""
SCAN_LIMIT = 200
"""How many deliveries of an account are looked through for a callback that came unseen."""
SHORTEST_WAIT = timedelta(minutes=1)


class BuildAwareLauncher:
    """The port `Launcher`, around another one: deliveries that are callbacks wake the run that waits for them."""

    def __init__(self, launcher: Launcher, catalog: Database, *, pauses: Sequence[float] = RESUME_BACKOFF) -> None:
        self.inner = launcher
        self._catalog = catalog
        self._pauses = pauses

    def launch(self, work: JobKind, subject: UUID, *, key: UUID, run_name: str) -> UUID:
        """Start a run about one row, or wake the one that waits for it; return its id."""
        if work is JobKind.DELIVERY:
            woken = self._wake(subject, attempt_id=key)
            if woken is not None:
                return woken
        elif work is JobKind.BATCH:
            self._match_batch(subject)
        return self.inner.launch(work, subject, key=key, run_name=run_name)

    def resume(self, run_id: UUID) -> ResumeResult:
        """Wake a run that waits for us."""
        return self.inner.resume(run_id)

    def _wake(self, delivery_id: UUID, *, attempt_id: UUID) -> UUID | None:
        """Wake the run that waits for a delivery; None where none does, or it is no more."""
        with self._catalog.read_session() as session:
            if not _may_be_awaited(session, delivery_id):
                return None
        with self._catalog.transaction() as session:
            run_id = _hand_to_its_run(session, delivery_id, attempt_id)
        if run_id is None:
            return None
        answer = self.inner.resume(run_id)
        for pause in self._pauses:
            if answer is not ResumeResult.NOT_YET:
                break
            time.sleep(pause)
            answer = self.inner.resume(run_id)
        if answer is not ResumeResult.OVER:
            return run_id
        with self._catalog.transaction() as session:
            attempt = session.get(Attempt, attempt_id)
            if attempt is not None:  # a run that is over begins nothing
                attempt.flow_run_id = None
        return None

    def _match_batch(self, batch_id: UUID) -> None:
        with self._catalog.read_session() as session:
            ids = session.scalars(select(Attempt.delivery_id).where(Attempt.batch_id == batch_id)).all()
            ids = [one for one in ids if _may_be_awaited(session, one)]
        if ids:
            with self._catalog.transaction() as session:
                query = select(Delivery).where(Delivery.id.in_(ids)).order_by(Delivery.id)
                for delivery in session.scalars(query.with_for_update()).all():
                    match_callback(session, delivery)


def _may_be_awaited(session: Session, delivery_id: UUID) -> bool:
    """Tell whether anybody in the delivery's account waits: for most deliveries this look is all that is done."""
    open_build = select(Build.id).where(
        Build.status.in_(rules.OPEN), Build.account_id == Delivery.account_id, Build.delivery_id.is_(None)
    )
    query = select(Delivery.id).where(Delivery.id == delivery_id, Delivery.build_id.is_not(None) | open_build.exists())
    return session.scalar(query) is not None


def _hand_to_its_run(session: Session, delivery_id: UUID, attempt_id: UUID) -> UUID | None:
    """Give an attempt to the flow run that waits for its delivery, unless one was given to it before."""
    delivery = session.get_one(Delivery, delivery_id, with_for_update=True)
    build = match_callback(session, delivery)
    if build is None or build.flow_run_id is None:
        return None
    given = select(Attempt.id).where(Attempt.delivery_id == delivery_id, Attempt.flow_run_id == build.flow_run_id)
    attempt = session.get(Attempt, attempt_id)
    if attempt is None or attempt.status != AttemptStatus.LAUNCHING or session.scalar(given.limit(1)) is not None:
        return None
    attempt.flow_run_id = build.flow_run_id
    return build.flow_run_id


def match_callback(session: Session, delivery: Delivery) -> Build | None:
    """Return the unfinished build that a locked delivery is the callback of; a new match is written down."""
    if delivery.build_id is not None:
        build = session.get(Build, delivery.build_id, with_for_update=True)
        return build if build is not None and build.status in rules.UNFINISHED else None
    if delivery.webhook_id is None:  # announced from inside, or tried again: no pipeline says so
        return None
    waiting = {
        build.dispatch_id: build
        for build in session.scalars(
            select(Build)
            .where(Build.account_id == delivery.account_id, Build.status.in_(rules.OPEN), Build.delivery_id.is_(None))
            .order_by(Build.created_at, Build.id)
            .with_for_update()
        )
    }
    if not waiting:
        return None
    try:
        said = read_announcement(delivery.body)
    except InvalidInput:
        return None
    found = rules.match(said, [match_criteria(build) for build in waiting.values()])
    if found is None:
        return None
    build = waiting[found.dispatch_id]
    build.status = rules.BUILD.transition("call back", BuildStatus(build.status))
    build.delivery_id = delivery.id
    build.run_id = build.run_id or said.run_id
    build.head_sha = build.head_sha or said.git_sha
    delivery.build_id = build.id
    return build


def find_callback(context: Context, build_id: UUID) -> UUID | None:
    """Return the delivery that is a build's callback, looking for one that was begun and not launched, too.

    A run that somebody started by hand, or a delivery that waits while the orchestrator is away, was matched with no
    build yet; one that is settled already settles its build here.
    """
    with context.catalog.read_session() as session:
        build = session.get_one(Build, build_id)
        if build.delivery_id is not None:
            return build.delivery_id
        query = select(Delivery.id, Delivery.body).where(
            Delivery.account_id == build.account_id,
            Delivery.received_at >= build.created_at,
            Delivery.build_id.is_(None),
            Delivery.webhook_id.is_not(None),
        )
        arrived = session.execute(query.order_by(Delivery.received_at.desc()).limit(SCAN_LIMIT)).all()
        likely: list[UUID] = [delivery_id for delivery_id, body in arrived if _names(body, build)]
    for delivery_id in reversed(likely):
        with context.catalog.transaction() as session:
            delivery = session.get_one(Delivery, delivery_id, with_for_update=True)
            found = match_callback(session, delivery) if delivery.build_id is None else None
            if found is not None and delivery.status in {DeliveryStatus.DONE, DeliveryStatus.FAILED}:
                completion.finish_from_delivery(session, delivery, at=context.clock.now())
            if found is not None and found.id == build_id:
                return delivery_id
    return None


def _names(body: bytes, build: Build) -> bool:
    try:
        return rules.match(read_announcement(body), [match_criteria(build)]) is not None
    except InvalidInput:
        return False


def match_criteria(build: Build) -> rules.CallbackMatch:
    """Return what is known of a build before its callback comes."""
    names = (build.platform_slug, str(build.node_platform_id) if build.node_platform_id else None)
    return rules.CallbackMatch(
        dispatch_id=build.dispatch_id,
        run_id=build.run_id,
        platforms=frozenset(name for name in names if name),
        head_sha=build.head_sha,
        ref=build.ref,
    )


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a build's flow run is to do next: take up an attempt, wait, or report."""

    is_finished: bool
    delivery_id: UUID | None
    attempt_id: UUID | None
    """The attempt that was given to this run."""
    wait: timedelta
    """How long at most until somebody else has ended the build."""


def next_step(context: Context, build_id: UUID, *, flow_run_id: UUID | None) -> NextStep:
    """Say what there is to do for the flow run of a build, which is the one that is woken from here on.

    The run looks before it goes to sleep and after it was woken, whoever woke it. Raises NotFound.
    """
    now = context.clock.now()
    with context.catalog.transaction() as session:
        build = session.get(Build, build_id, with_for_update=True)
        if build is None:
            raise NotFound(f"no build {build_id}")
        is_finished = build.status not in rules.UNFINISHED
        if not is_finished and flow_run_id is not None:
            build.flow_run_id = flow_run_id
        delivery = session.get(Delivery, build.delivery_id) if build.delivery_id else None
        attempt = (
            session.get(Attempt, delivery.current_attempt_id) if delivery and delivery.current_attempt_id else None
        )
        is_ours = attempt is not None and attempt.flow_run_id == flow_run_id and attempt.status != AttemptStatus.ENDED
    until = build.deadline_at if delivery is None else max(build.deadline_at, delivery.received_at + GIVE_UP_AFTER)
    return NextStep(
        is_finished=is_finished,
        delivery_id=delivery.id if delivery else None,
        attempt_id=attempt.id if attempt is not None and is_ours and flow_run_id is not None else None,
        wait=max(until - now, SHORTEST_WAIT) + rules.SUSPEND_MARGIN,
    )
