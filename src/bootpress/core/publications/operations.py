"""Public operations on publications and deliveries."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from bootpress.core.context import Caller, Context
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.models import Delivery
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.operation import (
    MAX_LIMIT,
    Moment,
    OperationRequest,
    OperationResponse,
    PageAnswer,
    PageRequest,
    Text,
    operation,
)
from bootpress.core.publications import service
from bootpress.core.publications.models import Artifact, Publication
from bootpress.core.publications.states import PublicationStatus

READ = "system.disk_image_publications.read"
MANAGE = "system.disk_image_publications.manage"
PROMOTE = "system.disk_image_publications.promote"


class SignerView(OperationResponse):
    """Who signed."""

    mode: str
    identity: str | None
    issuer: str | None
    key_sha256: str | None


class SbomView(OperationResponse):
    """What the image consists of, in short."""

    format: str
    package_count: int


class PublicationView(OperationResponse):
    """A publication as it stands."""

    id: UUID
    node_platform_id: UUID
    status: PublicationStatus
    arch: str | None
    git_sha: str | None
    oci_ref: str
    oci_digest: str
    size_bytes: int | None
    cosign_verified: bool
    signer: SignerView | None
    is_default: bool
    in_use: bool
    pinned: bool
    sbom: SbomView | None
    attempt_count: int
    created_at: Moment
    verified_at: Moment | None
    published_at: Moment | None
    retired_at: Moment | None
    purged_at: Moment | None
    revoked_at: Moment | None
    error_message: str | None

    @classmethod
    def of(cls, row: Publication, *, is_default: bool) -> PublicationView:
        """Show a row."""
        return cls(
            id=row.id,
            node_platform_id=row.node_platform_id,
            status=PublicationStatus(row.status),
            arch=row.arch,
            git_sha=row.git_sha,
            oci_ref=row.oci_ref,
            oci_digest=row.oci_digest,
            size_bytes=row.size_bytes,
            cosign_verified=row.cosign_verified,
            signer=SignerView(**row.signer) if row.signer else None,
            is_default=is_default,
            in_use=False,
            pinned=row.pinned,
            sbom=SbomView(**row.sbom) if row.sbom else None,
            attempt_count=row.attempt_count,
            created_at=row.created_at,
            verified_at=row.verified_at,
            published_at=row.published_at,
            retired_at=row.retired_at,
            purged_at=row.purged_at,
            revoked_at=row.revoked_at,
            error_message=row.error_message,
        )


class PublicationAnswer(OperationResponse):
    """One publication."""

    publication: PublicationView


class ArtifactView(OperationResponse):
    """One manifest, config or layer, as its manifest describes it."""

    role: str
    title: str
    media_type: str
    digest: str
    size_bytes: int
    manifest_digest: str

    @classmethod
    def of(cls, row: Artifact) -> ArtifactView:
        """Show a row."""
        return cls(
            role=row.role,
            title=row.title,
            media_type=row.media_type,
            digest=row.digest,
            size_bytes=row.size_bytes,
            manifest_digest=row.manifest_digest,
        )


class PublicationDetail(PublicationAnswer):
    """One publication and what it consists of; of many artifacts only the first 500 are listed."""

    artifacts: Annotated[list[ArtifactView], Field(max_length=MAX_LIMIT)]
    artifact_count: int


class ListPublications(PageRequest):
    """Which publications to list; `node_platform_id` is an id or a slug."""

    node_platform_id: Text
    status: PublicationStatus | None = None


class PublicationList(PageAnswer):
    """Publications, newest first."""

    publications: list[PublicationView]


class GetPublication(OperationRequest):
    """Which publication."""

    id: UUID


class PublicationId(OperationRequest):
    """Which publication."""

    publication_id: UUID


class SetDefaultPublication(PublicationId):
    """Which publication; the platform, if given, must be its own."""

    node_platform_id: Text | None = None


class RetryPublication(PublicationId):
    """Which failed publication, and why it may hold now."""

    reason: Text | None = None


class RetriedPublication(OperationResponse):
    """The publication, and the delivery that tries it again."""

    publication: PublicationView
    delivery_id: UUID


class ListDeliveries(PageRequest):
    """Which deliveries to list."""

    status: DeliveryStatus | None = None


class DeliveryView(OperationResponse):
    """A delivery as it stands."""

    id: UUID
    webhook_id: UUID | None
    source: str
    status: DeliveryStatus
    platform_slug: str
    oci_ref: str
    git_sha: str | None
    publication_id: UUID | None
    error_message: str | None
    waiting_for: str | None
    attempt_count: int
    received_at: Moment
    next_attempt_at: Moment | None
    finished_at: Moment | None

    @classmethod
    def of(cls, row: Delivery, *, waiting_for: str | None) -> DeliveryView:
        """Show a row, and what it waits for where it waits."""
        return cls(
            id=row.id,
            webhook_id=row.webhook_id,
            source=row.source,
            status=DeliveryStatus(row.status),
            platform_slug=row.platform_slug,
            oci_ref=row.oci_ref,
            git_sha=row.git_sha,
            publication_id=row.publication_id,
            error_message=row.error_message,
            waiting_for=waiting_for,
            attempt_count=row.attempt_count,
            received_at=row.received_at,
            next_attempt_at=row.next_attempt_at if row.finished_at is None else None,
            finished_at=row.finished_at,
        )


class DeliveryList(PageAnswer):
    """Deliveries, newest first."""

    deliveries: list[DeliveryView]


def _answer(found: tuple[Publication, bool]) -> PublicationAnswer:
    row, is_default = found
    return PublicationAnswer(publication=PublicationView.of(row, is_default=is_default))


@operation(permission=READ, changes=False)
def system_list_disk_image_publications(context: Context, caller: Caller, request: ListPublications) -> PublicationList:
    """List a platform's publications, newest first."""
    rows, default_id, next_cursor = service.list_publications(
        context,
        account_id=caller.account_id,
        platform=request.node_platform_id,
        status=request.status,
        limit=request.limit,
        cursor=request.cursor,
    )
    views = [PublicationView.of(row, is_default=row.id == default_id) for row in rows]
    return PublicationList(publications=views, next_cursor=next_cursor)


@operation(permission=READ, changes=False)
def system_get_disk_image_publication(context: Context, caller: Caller, request: GetPublication) -> PublicationDetail:
    """Show one publication."""
    found = service.get_publication(
        context, account_id=caller.account_id, publication_id=request.id, artifacts=MAX_LIMIT
    )
    return PublicationDetail(
        publication=PublicationView.of(found.publication, is_default=found.is_default),
        artifacts=[ArtifactView.of(row) for row in found.artifacts],
        artifact_count=found.artifact_count,
    )


@operation(permission=PROMOTE)
def system_set_default_disk_image_publication(
    context: Context, caller: Caller, request: SetDefaultPublication
) -> PublicationAnswer:
    """Make a publication what new instances of its platform boot."""
    return _answer(
        service.set_default(
            context,
            account_id=caller.account_id,
            publication_id=request.publication_id,
            platform=request.node_platform_id,
            actor=caller.name,
        )
    )


@operation(permission=MANAGE)
def system_restore_disk_image_publication(
    context: Context, caller: Caller, request: PublicationId
) -> PublicationAnswer:
    """Bring a retired publication back, as long as it is not purged; pin it to keep it from the next sweep."""
    return _answer(
        service.restore(context, account_id=caller.account_id, publication_id=request.publication_id, actor=caller.name)
    )


@operation(permission=MANAGE)
def system_pin_disk_image_publication(context: Context, caller: Caller, request: PublicationId) -> PublicationAnswer:
    """Pin a publication: retention keeps it until it is unpinned."""
    return _answer(
        service.set_pinned(context, account_id=caller.account_id, publication_id=request.publication_id, pinned=True)
    )


@operation(permission=MANAGE)
def system_unpin_disk_image_publication(context: Context, caller: Caller, request: PublicationId) -> PublicationAnswer:
    """Unpin a publication: retention decides about it again."""
    return _answer(
        service.set_pinned(context, account_id=caller.account_id, publication_id=request.publication_id, pinned=False)
    )


@operation(permission=MANAGE)
def system_retry_disk_image_publication(
    context: Context, caller: Caller, request: RetryPublication
) -> RetriedPublication:
    """Verify a failed publication again, in place."""
    publication, delivery_id = service.retry(
        context,
        account_id=caller.account_id,
        publication_id=request.publication_id,
        actor=caller.name,
        reason=request.reason,
    )
    attempts.launch_or_defer(context, delivery_id)
    return RetriedPublication(publication=PublicationView.of(publication, is_default=False), delivery_id=delivery_id)


@operation(permission=READ, changes=False)
def system_list_disk_image_deliveries(context: Context, caller: Caller, request: ListDeliveries) -> DeliveryList:
    """List deliveries, newest first."""
    rows, waiting, next_cursor = service.list_deliveries(
        context, account_id=caller.account_id, status=request.status, limit=request.limit, cursor=request.cursor
    )
    views = [DeliveryView.of(row, waiting_for=waiting.get(row.id)) for row in rows]
    return DeliveryList(deliveries=views, next_cursor=next_cursor)
