"""Public operations on CI workers."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool

from bootpress.core.accounts import lineage
from bootpress.core.context import Caller, Context
from bootpress.core.errors import Forbidden, InvalidInput
from bootpress.core.operation import (
    Label,
    Moment,
    OperationRequest,
    OperationResponse,
    PageAnswer,
    PageRequest,
    Text,
    Title,
    Unless,
    operation,
    reject_control_characters,
)
from bootpress.core.sagas import caller as calling
from bootpress.core.sagas.states import SagaKind
from bootpress.core.url_validation import parse_base_url
from bootpress.core.workers import bootstrap_plan, runner_plan, service, terminate_worker
from bootpress.core.workers.bootstrap_state import PREFLIGHT
from bootpress.core.workers.service import WorkerStatus
from bootpress.core.workers.states import RunnerStatus, WorkerState

BOOTSTRAP = "system.disk_image_ci.bootstrap"
READ = "system.ci_workers.read"
MANAGE = "system.ci_workers.manage"


class BootstrapDiskImageCi(OperationRequest):
    """The build repository, and what its pipeline is called here."""

    owner: Annotated[Title, Field(description="Who the repository is to belong to at the forge")]
    repo: Annotated[Title, Field(description="Its name there; made if there is none")]
    label: Annotated[Label, Field(description="What the pipeline is called here; the same again rotates its secrets")]
    platform_slug: Annotated[Unless[Title], Field(description="The node platform that it builds for by default")] = None
    platform_api_base: Annotated[
        Unless[Text], Field(description="Base of the URLs that its jobs call, where it is not our public one")
    ] = None
    create_platform_read_token: Annotated[StrictBool, Field(description="Give its jobs a token that only reads")] = (
        False
    )
    create_signing_key: Annotated[
        Unless[StrictBool], Field(description="By default where the forge has no OIDC for its jobs")
    ] = None
    rotate_signing_key: Annotated[StrictBool, Field(description="Make a new key; platforms must trust it anew")] = False


class BootstrappedCi(OperationResponse):
    """What was set up; the webhook's secret and the runner's token are shown this once."""

    ok: bool
    action: Literal["created", "rotated"]
    repo_created: bool
    webhook_id: UUID
    webhook_url: str
    webhook_secret: str | None
    ci_worker_id: UUID
    ci_worker_token: str | None
    gitea_secrets_set: list[str]
    gitea_variables_set: list[str]
    cosign_public_key: str | None
    warnings: list[str]
    flow_run_id: UUID


class ListCiWorkers(PageRequest):
    """Which CI workers to list: all of the account's, in pages."""


class CiWorkerView(OperationResponse):
    """A CI worker, and how its runners are."""

    id: UUID
    name: str
    role: Literal["ci_worker"]
    status: RunnerStatus
    labels: list[str]
    last_seen_at: Moment | None

    @classmethod
    def of(cls, seen: WorkerStatus) -> CiWorkerView:
        """Show a worker."""
        return cls(
            id=seen.worker.id,
            name=seen.worker.label,
            role="ci_worker",
            status=seen.status,
            labels=list(seen.labels),
            last_seen_at=seen.last_seen_at,
        )


class CiWorkerList(PageAnswer):
    """CI workers, oldest first."""

    workers: list[CiWorkerView]


class ProvisionCiWorker(OperationRequest):
    """A runner's name, which is the label of its pipeline; what jobs it takes; the Docker host, by default ours."""

    name: Annotated[
        Title,
        AfterValidator(reject_control_characters),
        Field(description="The label of a pipeline; any name where there is only one repository"),
    ]
    labels: Annotated[Unless[list[Text]], Field(description="What jobs it takes; disk-image-builder among them")] = None
    runner_host: Annotated[
        Unless[Text], Field(description="URL of a Docker daemon: unix:///path or tcp://host:port")
    ] = None


class ProvisionedCiWorker(OperationResponse):
    """A runner that is online."""

    ok: bool
    action: Literal["created", "replaced", "kept"]
    worker: CiWorkerView
    container_id: str
    runner_host: str | None
    image: str
    warnings: list[str]
    flow_run_id: UUID


class TerminateCiWorker(OperationRequest):
    """Which worker."""

    id: UUID


class TerminatedCiWorker(OperationResponse):
    """A worker that is revoked, and what was taken down with it."""

    ok: bool
    worker: CiWorkerView
    runners_deregistered: list[str]
    container_removed: bool
    warnings: list[str]
    flow_run_id: UUID | None


def _read_permissions(context: Context, caller: Caller) -> list[str]:
    """Return the permissions of a read token: every one that reads, as far as the caller has them to give.

    Raises Forbidden where he has none, or descends from too many tokens to mint another.
    """
    from bootpress.core.operation_registry import PERMISSIONS  # noqa: PLC0415 - the catalogue is made of this module too

    given = [name for name in PERMISSIONS if name.endswith(".read") and caller.has_permission(name)]
    if not given:
        raise Forbidden(
            "create_platform_read_token: your token lacks every permission to read, and cannot give one away",
            hint="use a token that may read, or leave create_platform_read_token away",
        )
    with context.catalog.read_session() as session:
        lineage.descend(session, caller.token_id)
    return given


@operation(permission=BOOTSTRAP, secrets=("webhook_secret", "ci_worker_token"), asks_outside=True)
def bootstrap_disk_image_ci(context: Context, caller: Caller, request: BootstrapDiskImageCi) -> BootstrappedCi:
    """Set a build repository up, with its webhook, secrets, signing key and runner's token; again: rotate them."""
    label = bootstrap_plan.check_label(request.label)
    repository = bootstrap_plan.check_repository(request.owner, request.repo)
    base = context.public_url
    if request.platform_api_base is not None:
        base = parse_base_url(request.platform_api_base, field="platform_api_base")
    if request.rotate_signing_key and request.create_signing_key is False:
        raise InvalidInput(
            "rotate_signing_key asks for a signing key that create_signing_key refuses", field="rotate_signing_key"
        )
    forge_name, forge = bootstrap_plan.choose_forge(context, caller.account_id, label, request.platform_slug)
    wanted = bootstrap_plan.BootstrapPlan(
        label=label,
        repo=str(repository),
        forge=forge_name,
        base=base,
        platform_slug=bootstrap_plan.resolve_slug(context, caller.account_id, request.platform_slug),
        read_permissions=_read_permissions(context, caller) if request.create_platform_read_token else [],
        signing_key=_wants_key(request, has_oidc=forge.has_oidc),
        replaces_key=bool(request.create_signing_key) or request.rotate_signing_key,
        rotate_signing_key=request.rotate_signing_key,
        asked_with=str(caller.token_id),
    )

    def look_and_call() -> dict[str, Any]:
        findings = bootstrap_plan.preflight(context, caller.account_id, forge, repository)
        return calling.run_saga(
            context,
            caller,
            SagaKind.BOOTSTRAP,
            request=wanted.as_json(),
            claims=wanted.claims,
            effects={PREFLIGHT: findings.as_json()},
            run_name=f"bootstrap {label}",
        )

    answer = calling.wait_and_retry_when_busy(context, caller.account_id, wanted.claims, look_and_call)
    return BootstrappedCi(ok=True, **{"ci_worker_token": None, **answer})


def _wants_key(request: BootstrapDiskImageCi, *, has_oidc: bool) -> bool:
    if request.create_signing_key is not None:
        return request.create_signing_key
    return request.rotate_signing_key or not has_oidc


@operation(permission=READ, changes=False, asks_outside=True)
def system_list_ci_workers(context: Context, caller: Caller, request: ListCiWorkers) -> CiWorkerList:
    """List the account's CI workers, and what the forge says of their runners."""
    found, next_cursor = service.list_workers(
        context, account_id=caller.account_id, limit=request.limit, cursor=request.cursor
    )
    return CiWorkerList(workers=[CiWorkerView.of(seen) for seen in found], next_cursor=next_cursor)


@operation(permission=MANAGE, asks_outside=True)
def system_provision_ci_worker(context: Context, caller: Caller, request: ProvisionCiWorker) -> ProvisionedCiWorker:
    """Run a runner for a build repository as a container on a Docker host; again: see that it is there as asked."""
    wanted = runner_plan.plan_runner(
        context, caller.account_id, name=request.name, labels=request.labels, runner_host=request.runner_host
    )
    told = calling.run_saga(
        context,
        caller,
        SagaKind.PROVISION_WORKER,
        request=wanted.as_json(),
        claims=wanted.claims,
        run_name=f"provision {wanted.label}",
    )
    return ProvisionedCiWorker(
        ok=True,
        action=told["action"],
        worker=_view(context, caller, UUID(told["ci_worker_id"]), RunnerStatus.ONLINE),
        container_id=told["container_id"],
        runner_host=wanted.runner_host,
        image=wanted.image,
        warnings=runner_plan.warnings(wanted),
        flow_run_id=told["flow_run_id"],
    )


@operation(permission=MANAGE, asks_outside=True)
def system_terminate_ci_worker(context: Context, caller: Caller, request: TerminateCiWorker) -> TerminatedCiWorker:
    """Revoke a CI worker: its runners are deregistered at the forge, and removed where we run them."""
    with context.catalog.read_session() as session:
        worker = terminate_worker.find_worker(session, caller.account_id, request.id)
    told: dict[str, Any] = {"runners_deregistered": [], "container_removed": False, "warnings": [], "flow_run_id": None}
    if worker.status != WorkerState.REVOKED:
        told = calling.run_saga(
            context,
            caller,
            SagaKind.TERMINATE_WORKER,
            request={"id": str(worker.id)},
            claims=terminate_worker.claims(worker),
            run_name=f"terminate {worker.label}",
            ci_worker_id=worker.id,
        )
    return TerminatedCiWorker(ok=True, worker=_view(context, caller, worker.id, RunnerStatus.REVOKED), **told)


def _view(context: Context, caller: Caller, worker_id: UUID, status: RunnerStatus) -> CiWorkerView:
    with context.catalog.read_session() as session:
        worker = terminate_worker.find_worker(session, caller.account_id, worker_id)
    return CiWorkerView.of(WorkerStatus(worker, status, worker.labels, worker.last_seen_at))
