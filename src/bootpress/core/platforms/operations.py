"""Public operations on node platforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from bootpress.core.context import Caller, Context
from bootpress.core.operation import (
    Moment,
    OperationRequest,
    OperationResponse,
    PageAnswer,
    PageRequest,
    Text,
    Title,
    Unless,
    Whole,
    operation,
)
from bootpress.core.platforms import service, slugs
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.trust import TrustPolicy
from bootpress.core.publications.eligibility import MAX_DIFFERENCES, differences_of_defaults

READ = "system.node_platforms.read"
MANAGE = "system.node_platforms.manage"


Slug = Annotated[str, Field(pattern=slugs.PATTERN, max_length=slugs.MAX_SLUG), AfterValidator(slugs.reject_uuid)]
Arch = Literal["amd64", "arm64"]
BootCheck = Literal["required", "off"]
RetentionCount = Annotated[Whole, Field(ge=1, le=50)]
TimeoutMinutes = Annotated[Whole, Field(ge=1, le=24 * 60)]


class CreateNodePlatform(OperationRequest):
    """A new platform."""

    slug: Slug
    arch: Arch
    oci_repository: Text
    trust: TrustPolicy
    name: Title | None = None
    retention_count: RetentionCount = 3
    build_timeout_minutes: TimeoutMinutes = 120
    boot_check: BootCheck = "off"
    registry: Text | None = None
    forge: Text | None = None


class UpdateNodePlatform(OperationRequest):
    """What to change; fields that are left away stay, and null takes `registry` or `forge` away."""

    id: Text
    slug: Unless[Slug] = None
    arch: Unless[Arch] = None
    oci_repository: Unless[Text] = None
    trust: Unless[TrustPolicy] = None
    name: Unless[Title] = None
    retention_count: Unless[RetentionCount] = None
    build_timeout_minutes: Unless[TimeoutMinutes] = None
    boot_check: Unless[BootCheck] = None
    registry: Text | None = None
    forge: Text | None = None


class GetNodePlatform(OperationRequest):
    """Which platform: its id or slug."""

    id: Text


class ListNodePlatforms(PageRequest):
    """Which platforms to list: all of the account's, in pages."""


class NodePlatformView(OperationResponse):
    """A platform as it stands."""

    id: UUID
    slug: str
    name: str
    arch: str
    oci_repository: str
    trust: dict[str, Any]
    retention_count: int
    build_timeout_minutes: int
    boot_check: str
    registry: str | None
    forge: str | None
    disk_image_oci_ref: str | None
    disk_image_publication_status: str | None
    disk_image_publication_error: str | None
    default_publication_id: UUID | None
    default_publication_differences: Annotated[
        list[str],
        Field(
            max_length=MAX_DIFFERENCES,
            description="In what the default differs from what the platform demands now; no promotion would take it",
        ),
    ]
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, platform: NodePlatform, differences: Sequence[str]) -> NodePlatformView:
        """Show a row, and in what its default differs from it."""
        return cls(
            id=platform.id,
            slug=platform.slug,
            name=platform.name,
            arch=platform.arch,
            oci_repository=platform.oci_repository,
            trust=platform.trust,
            retention_count=platform.retention_count,
            build_timeout_minutes=platform.build_timeout_minutes,
            boot_check=platform.boot_check,
            registry=platform.registry_name,
            forge=platform.forge_name,
            disk_image_oci_ref=platform.disk_image_oci_ref,
            disk_image_publication_status=platform.disk_image_publication_status,
            disk_image_publication_error=platform.disk_image_publication_error,
            default_publication_id=platform.default_publication_id,
            default_publication_differences=list(differences),
            created_at=platform.created_at,
            updated_at=platform.updated_at,
        )


class NodePlatformAnswer(OperationResponse):
    """One platform."""

    node_platform: NodePlatformView

    @classmethod
    def of(cls, context: Context, platform: NodePlatform) -> NodePlatformAnswer:
        """Show a row."""
        return cls(node_platform=_views(context, [platform])[0])


class NodePlatformList(PageAnswer):
    """Platforms, by slug."""

    node_platforms: list[NodePlatformView]


def _views(context: Context, platforms: Sequence[NodePlatform]) -> list[NodePlatformView]:
    differing = differences_of_defaults(context, platforms)
    return [NodePlatformView.of(platform, differing.get(platform.id, [])) for platform in platforms]


@operation(permission=MANAGE)
def system_create_node_platform(context: Context, caller: Caller, request: CreateNodePlatform) -> NodePlatformAnswer:
    """Create a node platform: where its images lie and whose signature they need."""
    platform = service.create_platform(
        context,
        account_id=caller.account_id,
        trust=request.trust,
        oci_repository=request.oci_repository,
        fields={
            "slug": request.slug,
            "name": request.name or request.slug,
            "arch": request.arch,
            "retention_count": request.retention_count,
            "build_timeout_minutes": request.build_timeout_minutes,
            "boot_check": request.boot_check,
            "registry_name": request.registry,
            "forge_name": request.forge,
        },
    )
    return NodePlatformAnswer.of(context, platform)


_COLUMNS = {"registry": "registry_name", "forge": "forge_name"}
_CHECKED_APART = {"id", "account_id", "trust", "oci_repository"}


@operation(permission=MANAGE)
def system_update_node_platform(context: Context, caller: Caller, request: UpdateNodePlatform) -> NodePlatformAnswer:
    """Change a node platform; what is published already stays published, and the default stays until it is promoted."""
    given = request.model_dump(exclude_unset=True, exclude=_CHECKED_APART)
    platform = service.update_platform(
        context,
        account_id=caller.account_id,
        platform=request.id,
        trust=request.trust,
        oci_repository=request.oci_repository,
        fields={_COLUMNS.get(name, name): value for name, value in given.items()},
    )
    return NodePlatformAnswer.of(context, platform)


@operation(permission=READ, changes=False)
def system_list_node_platforms(context: Context, caller: Caller, request: ListNodePlatforms) -> NodePlatformList:
    """List the account's node platforms."""
    platforms, next_cursor = service.list_platforms(
        context, account_id=caller.account_id, limit=request.limit, cursor=request.cursor
    )
    return NodePlatformList(node_platforms=_views(context, platforms), next_cursor=next_cursor)


@operation(permission=READ, changes=False)
def system_get_node_platform(context: Context, caller: Caller, request: GetNodePlatform) -> NodePlatformAnswer:
    """Show one node platform, found by id or slug."""
    with context.catalog.read_session() as session:
        platform = service.find_platform(session, caller.account_id, request.id)
    return NodePlatformAnswer.of(context, platform)
