"""CI workers, and what the forge says of their runners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from bootpress.core.connections import service as connections
from bootpress.core.context import Context
from bootpress.core.errors import NotFound
from bootpress.core.pagination import page
from bootpress.core.pieces import in_pieces
from bootpress.core.ports import GitRepository, Runner
from bootpress.core.workers import rules
from bootpress.core.workers.models import CiWorker
from bootpress.core.workers.states import RunnerStatus, WorkerState

REMEMBERED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as it is now."""

    worker: CiWorker
    status: RunnerStatus
    labels: Sequence[str]
    last_seen_at: datetime | None


def list_workers(
    context: Context, *, account_id: UUID, limit: int, cursor: str | None
) -> tuple[list[WorkerStatus], str | None]:
    """Return a page of an account's CI workers, oldest first, as the forge sees their runners now; and the next cursor.

    Each repository is asked about once. Raises what the forge raises: a status that nobody gave is not made up.
    """
    with context.catalog.read_session() as session:
        query, by = select(CiWorker).where(CiWorker.account_id == account_id), (CiWorker.created_at, CiWorker.id)
        workers, next_cursor = page(session, query, by=by, limit=limit, cursor=cursor, newest_first=False)
        beside = _beside(session, account_id, workers)
    runners = runners_of(context, account_id, beside)
    seen = [_seen(context, worker, runners.get(worker.id, [])) for worker in workers]
    _remember(context, seen)
    return seen, next_cursor


def _beside(session: Session, account_id: UUID, workers: Sequence[CiWorker]) -> list[CiWorker]:
    """Return all workers in use of the repositories of these, oldest first: whose a runner is depends on them all."""
    names = {worker.repo.lower() for worker in workers if worker.repo is not None}
    query = select(CiWorker).where(
        CiWorker.account_id == account_id,
        CiWorker.status != WorkerState.REVOKED,
        func.lower(CiWorker.repo).in_(names),
    )
    return list(session.scalars(query.order_by(CiWorker.created_at, CiWorker.id)))


def runners_of(context: Context, account_id: UUID, workers: Sequence[CiWorker]) -> Mapping[UUID, list[Runner]]:
    """Ask the forge for the runners of workers in use; return them by the id of the worker they belong to."""
    places: dict[tuple[str, str], list[CiWorker]] = defaultdict(list)
    for worker in workers:
        if worker.status != WorkerState.REVOKED and worker.repo is not None:
            places[worker.forge_name, worker.repo.casefold()].append(worker)
    found: dict[UUID, list[Runner]] = defaultdict(list)
    for (forge_name, _), here in places.items():
        _, forge = connections.open_forge(context, account_id, forge_name)
        try:
            runners = forge.list_runners(GitRepository.parse(here[0].repo or ""))
        except NotFound:
            continue  # a repository that is gone has no runners
        for runner in runners:
            owner = rules.owner_of(runner.name, runner.labels, [one.label_key for one in here])
            found[here[owner].id].append(runner)
    return found


def _seen(context: Context, worker: CiWorker, runners: Sequence[Runner]) -> WorkerStatus:
    online = [runner for runner in runners if runner.is_online]
    status = rules.runner_status(
        is_revoked=worker.status == WorkerState.REVOKED, registered=len(runners), online=len(online)
    )
    seen_at = [runner.last_seen_at for runner in runners if runner.last_seen_at is not None]
    if online and not seen_at:
        seen_at = [context.clock.now()]
    known = [worker.last_seen_at] if worker.last_seen_at is not None else []
    labels = dict.fromkeys(label for runner in runners for label in runner.labels)
    return WorkerStatus(worker, status, list(labels) or worker.labels, max([*seen_at, *known], default=None))


def _remember(context: Context, seen: Sequence[WorkerStatus]) -> None:
    """Keep when a runner was seen last, for when the forge no longer says."""
    news = [one for one in seen if _is_newer(one.last_seen_at, one.worker.last_seen_at)]
    for piece in in_pieces(context.catalog, news):
        with context.catalog.transaction() as session:
            for one in piece:
                changed = update(CiWorker).where(CiWorker.id == one.worker.id).values(last_seen_at=one.last_seen_at)
                session.execute(changed)


def _is_newer(seen: datetime | None, known: datetime | None) -> bool:
    return seen is not None and (known is None or seen - known >= REMEMBERED_EVERY)
