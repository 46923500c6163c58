"""What runner is to run for a build repository, and what can be found out about it before a row is written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from bootpress.core.connections import service as connections
from bootpress.core.context import Context
from bootpress.core.errors import Conflict, InvalidInput, Unsupported
from bootpress.core.ports import Forge, ForgeKind, GitRepository, Runner
from bootpress.core.url_validation import is_loopback
from bootpress.core.workers import bootstrap_plan
from bootpress.core.workers.models import CiWorker
from bootpress.core.workers.states import WorkerState

TEMPLATE_LABEL: Final = "disk-image-builder"
"""What the workflow of a build repository runs on."""
MAX_LABELS: Final = 20
MAX_NAME_BYTES: Final = 255
"""Gitea cuts a runner's name there."""
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RunnerPlan:
    """What runner is to run; none of it is a secret."""

    label: str
    """The worker's, and the runner's name."""
    repo: str
    forge: str
    """Name of the forge connection."""
    forge_url: str
    runner_host: str | None
    image: str
    labels: Sequence[str]

    @property
    def repository(self) -> GitRepository:
        """Return the repository's name."""
        return GitRepository.parse(self.repo)

    @property
    def claims(self) -> list[str]:
        """Return what no other saga may work on: whose a repository's runners are depends on its workers."""
        return [bootstrap_plan.claim_of_label(self.label), bootstrap_plan.claim_of_repository(self.forge, self.repo)]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as a row keeps it."""
        return {**dataclasses.asdict(self), "labels": list(self.labels)}


def plan_runner(
    context: Context, account_id: UUID, *, name: str, labels: Sequence[str] | None, runner_host: str | None
) -> RunnerPlan:
    """Decide what runner is to run, and make sure by calls that change nothing that forge and host let us run it.

    Raises Conflict where there is no build repository for it, and what forge and Docker host raise.
    """
    label = bootstrap_plan.check_label(name)
    if len(label.encode()) > MAX_NAME_BYTES:
        raise InvalidInput(f"field name: longer than {MAX_NAME_BYTES} bytes", hint="choose a shorter one", field="name")
    with context.catalog.read_session() as session:
        worker = bootstrap_plan.find_worker(session, account_id, label)
        place = worker if worker is not None and worker.repo is not None else _only_place(session, account_id, label)
    where = runner_host or (worker.runner_host if worker is not None else None)
    _, forge = connections.open_forge(context, account_id, place.forge_name)
    connection = context.connections.find_forge(account_id, place.forge_name)
    if connection is None or connection.kind is ForgeKind.LOCAL:
        raise Unsupported(
            "the embedded forge takes no runners: it runs the jobs itself",
            hint="connect a Gitea with system_connect_forge to have them run elsewhere",
        )
    info = context.runner_hosts.open(where).check()
    repository = GitRepository.parse(place.repo or "")
    if not bootstrap_plan.preflight(context, account_id, forge, repository).exists:
        raise Conflict(f"the forge has no {repository} any more", hint="bootstrap_disk_image_ci creates it anew")
    kept = worker.labels if worker is not None else []
    return RunnerPlan(
        label=worker.label if worker is not None else label,
        repo=str(repository),
        forge=place.forge_name,
        forge_url=connection.url,
        runner_host=where,
        image=context.runner_image,
        labels=check_labels(labels) if labels else kept or [TEMPLATE_LABEL, info.arch],
    )


def warnings(wanted: RunnerPlan) -> list[str]:
    """Return what the operator of a runner should know."""
    if not is_loopback(wanted.forge_url):
        return []
    where = f"{wanted.forge_url} is on the loopback of the machine, so the runner shares the machine's network"
    return [f"{where}: its jobs reach all that listens there, Prefect's API among it"]


def check_labels(labels: Sequence[str]) -> list[str]:
    """Return labels once each; InvalidInput for what a runner that runs jobs in its own container cannot have."""
    found = list(dict.fromkeys(label.strip() for label in labels))
    for label in found:
        if not _LABEL.fullmatch(label):
            raise InvalidInput(
                f"field labels: {label[:100]!r} is no label",
                hint="write letters, digits, dots and dashes: jobs run in the runner's own container, not by `:docker`",
                field="labels",
            )
    if len(found) > MAX_LABELS:
        raise InvalidInput(f"field labels: more than {MAX_LABELS}", hint="name fewer", field="labels")
    return found


def runners_named(forge: Forge, repository: GitRepository, label: str) -> list[Runner]:
    """Return the runners of a repository that are called as a worker is."""
    return [runner for runner in forge.list_runners(repository) if runner.name == label]


def _only_place(session: Session, account_id: UUID, label: str) -> CiWorker:
    """Return the worker whose repository a runner of a new name is for: there is only one repository to choose."""
    query = select(CiWorker).where(
        CiWorker.account_id == account_id, CiWorker.status != WorkerState.REVOKED, CiWorker.repo.is_not(None)
    )
    workers = session.scalars(query.order_by(CiWorker.created_at, CiWorker.id)).all()
    places = {(one.forge_name, (one.repo or "").casefold()) for one in workers}
    if len(places) == 1:
        return workers[0]
    if not places:
        raise Conflict(
            "there is no build repository that a runner could be for",
            hint="bootstrap_disk_image_ci makes one; then provision a runner by its label",
        )
    known = ", ".join(repr(one.label) for one in workers[:10])
    raise Conflict(
        f"no CI worker is called {label!r}, and there are {len(places)} build repositories that it could be for",
        hint=f"give the label of one of them as name ({known}), or bootstrap_disk_image_ci with that label",
    )
