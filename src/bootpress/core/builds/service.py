"""Builds on record, and the runs of any workflow as the forge shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bootpress.core.builds.models import Build, KnownRun
from bootpress.core.connections.service import open_forge
from bootpress.core.context import Context
from bootpress.core.errors import InvalidInput, NotFound
from bootpress.core.pagination import page
from bootpress.core.pieces import delete_in_pieces
from bootpress.core.platforms.service import find_platform
from bootpress.core.ports import Forge, GitRepository, Job, WorkflowRun

LISTED_RUN_TTL = timedelta(days=30)
"""How long a listed run is remembered after it was listed last."""
CANDIDATES = 1000
"""How many runs are looked through for the repository of one."""


def list_builds(
    context: Context, *, account_id: UUID, platform: str | None, status: str | None, limit: int, cursor: str | None
) -> tuple[list[Build], str | None]:
    """Return a page of an account's builds, newest first, and the next cursor."""
    query = select(Build).where(Build.account_id == account_id)
    with context.catalog.read_session() as session:
        if platform is not None:
            query = query.where(Build.node_platform_id == find_platform(session, account_id, platform).id)
        if status is not None:
            query = query.where(Build.status == status)
        return page(session, query, by=(Build.created_at, Build.id), limit=limit, cursor=cursor)


def list_runs(
    context: Context, *, account_id: UUID, repository: GitRepository, workflow: str | None, limit: int
) -> Sequence[WorkflowRun]:
    """List a repository's runs, newest first, and remember where they are."""
    name, forge = forge_of(context, account_id, repository)
    runs = forge.list_runs(repository, workflow=workflow, limit=limit)
    _remember(context, account_id, name, repository, [run.id for run in runs])
    return runs


def get_run(
    context: Context, *, account_id: UUID, repository: GitRepository, run_id: str
) -> tuple[WorkflowRun, Sequence[Job]]:
    """Return a run of this repository with its jobs; NotFound for another's."""
    name, forge = forge_of(context, account_id, repository)
    run = _find_run(forge, repository, run_id)
    jobs = forge.list_jobs(repository, run_id)
    _remember(context, account_id, name, repository, [run.id])
    return run, jobs


def cancel_run(context: Context, *, account_id: UUID, repository: GitRepository, run_id: str) -> WorkflowRun:
    """Cancel a run and return it; Unsupported where the forge has no API for it."""
    _, forge = forge_of(context, account_id, repository)
    _find_run(forge, repository, run_id)
    forge.cancel_run(repository, run_id)
    return _find_run(forge, repository, run_id)


def forge_of(context: Context, account_id: UUID, repository: GitRepository) -> tuple[str, Forge]:
    """Open the forge where builds of a repository were dispatched last, else the account's default one."""
    with context.catalog.read_session() as session:
        query = select(Build.forge_name).where(Build.account_id == account_id, Build.repo == str(repository))
        known = session.scalar(query.order_by(Build.created_at.desc()).limit(1))
    names = {one.name for one in context.connections.list_forges(account_id)} if known else set()
    return open_forge(context, account_id, known if known in names else None)


def find_repository(context: Context, *, account_id: UUID, run_id: str | None) -> GitRepository:
    """Return the repository of a run that was dispatched or listed; InvalidInput when none, or more than one, can be.

    Without a run: the only repository whose runs were dispatched or listed.
    """
    with context.catalog.read_session() as session:
        found = _repositories(session, account_id, run_id)
    if len(found) == 1:
        return GitRepository.parse(found.pop())
    what = f"run {run_id[:50]}" if run_id else "a job of no named run"
    told = f"may be of any of: {', '.join(sorted(found))}" if found else "was neither dispatched nor listed here"
    raise InvalidInput(
        f"field repo is missing: {what} {told}"[:1000],
        hint="say repo: owner/name, or list its runs first with list_gitea_workflow_runs",
        field="repo",
    )


def _repositories(session: Session, account_id: UUID, run_id: str | None) -> set[str]:
    builds = select(Build.repo).where(Build.account_id == account_id).order_by(Build.created_at.desc())
    listed = select(KnownRun.repo).where(KnownRun.account_id == account_id).order_by(KnownRun.listed_at.desc())
    if run_id is not None:
        builds, listed = builds.where(Build.run_id == run_id), listed.where(KnownRun.run_id == run_id)
    return {*session.scalars(builds.limit(CANDIDATES)), *session.scalars(listed.limit(CANDIDATES))}


def _find_run(forge: Forge, repository: GitRepository, run_id: str) -> WorkflowRun:
    run = forge.find_run(repository, run_id)
    if run is None:
        raise NotFound(f"{repository} has no run {run_id[:50]}", hint="see list_gitea_workflow_runs")
    return run


def _remember(
    context: Context, account_id: UUID, forge_name: str, repository: GitRepository, run_ids: Sequence[str]
) -> None:
    now = context.clock.now()
    repo = str(repository)
    mine = (
        KnownRun.account_id == account_id,
        KnownRun.forge_name == forge_name,
        KnownRun.repo == repo,
        KnownRun.run_id.in_(run_ids),
    )
    delete_in_pieces(context.catalog, KnownRun, KnownRun.listed_at < now - LISTED_RUN_TTL)
    with context.catalog.transaction() as session:
        known = set(session.scalars(select(KnownRun.run_id).where(*mine)))
        session.execute(update(KnownRun).where(*mine).values(listed_at=now))
        session.add_all(
            KnownRun(id=uuid4(), account_id=account_id, forge_name=forge_name, repo=repo, run_id=run_id, listed_at=now)
            for run_id in dict.fromkeys(run_ids)
            if run_id not in known
        )
