"""Which operations a page asks, with the caller's own permissions, and what it is given to show."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from bootpress.core.context import Caller, Context
from bootpress.core.errors import Forbidden, NotFound
from bootpress.core.operation import MAX_LIMIT, Operation
from bootpress.core.platforms.operations import (
    NodePlatformView,
    system_get_node_platform,
    system_list_node_platforms,
)
from bootpress.core.publications.available_actions import available_actions
from bootpress.core.publications.operations import (
    PublicationView,
    system_get_disk_image_publication,
    system_list_disk_image_publications,
)

SHOWN = 20
MAX_PLATFORMS = 50
"""How many platforms the list of all looks at: each costs a query."""


class Page(NamedTuple):
    """A template and its values."""

    template: str
    values: dict[str, Any]


class CommandHint(NamedTuple):
    """A command line to copy, what it does, and the permission that this token lacks for it."""

    command: str
    summary: str
    lacks: str | None


def newest_publications(context: Context, caller: Caller, after: str | None) -> Page:
    """Ask for the newest publications of all platforms together, or of those behind a cursor."""
    listed = system_list_node_platforms.call(context, caller, _page(MAX_LIMIT, after))
    found: list[tuple[PublicationView, NodePlatformView]] = []
    for platform in listed.node_platforms[:MAX_PLATFORMS]:
        fields = {"node_platform_id": str(platform.id), "limit": SHOWN}
        answer = system_list_disk_image_publications.call(context, caller, fields)
        found += [(publication, platform) for publication in answer.publications]
    found.sort(key=lambda one: one[0].created_at, reverse=True)
    values = {
        "rows": found[:SHOWN],
        "platforms": listed.node_platforms,
        "more_platforms": listed.next_cursor,
        "slug": None,
        "older": None,
        "left_out": max(0, len(listed.node_platforms) - MAX_PLATFORMS),
    }
    return Page("publications.html", values)


def publications_of(context: Context, caller: Caller, slug: str, cursor: str | None) -> Page:
    """Ask for the newest publications of one platform, or for those behind a cursor."""
    listed = system_list_node_platforms.call(context, caller, {"limit": MAX_LIMIT})
    try:
        platform = system_get_node_platform.call(context, caller, {"id": slug}).node_platform
    except NotFound as error:
        hint = "the publications of all platforms: /app/publications"
        raise NotFound(f"no node platform {slug[:100]!r}", hint=hint) from error
    fields = {"node_platform_id": str(platform.id), **_page(SHOWN, cursor)}
    answer = system_list_disk_image_publications.call(context, caller, fields)
    values = {
        "rows": [(publication, platform) for publication in answer.publications],
        "platforms": listed.node_platforms,
        "more_platforms": listed.next_cursor,
        "slug": platform.slug,
        "older": answer.next_cursor,
        "left_out": 0,
    }
    return Page("publications.html", values)


def _page(limit: int, cursor: str | None) -> dict[str, Any]:
    return {"limit": limit} if cursor is None else {"limit": limit, "cursor": cursor}


def one_publication(context: Context, caller: Caller, publication_id: UUID) -> Page:
    """Ask for one publication, its platform, and what can be done with it."""
    answer = system_get_disk_image_publication.call(context, caller, {"id": publication_id})
    publication = answer.publication
    platform = _platform(context, caller, publication.node_platform_id)
    lines = [
        _line(caller, operation, f"publication_id={publication.id}") for operation in available_actions(publication)
    ]
    lines += [
        _line(caller, system_get_disk_image_publication, f"id={publication.id}"),
        _line(
            caller,
            system_list_disk_image_publications,
            f"node_platform_id={platform.slug if platform else publication.node_platform_id}",
        ),
    ]
    values = {
        "publication": publication,
        "platform": platform,
        "artifacts": answer.artifacts,
        "artifact_count": answer.artifact_count,
        "lines": lines,
        "public_url": context.public_url,
    }
    return Page("publication.html", values)


def _platform(context: Context, caller: Caller, platform_id: UUID) -> NodePlatformView | None:
    # A token may read publications and not platforms: then the id has to do.
    try:
        return system_get_node_platform.call(context, caller, {"id": str(platform_id)}).node_platform
    except Forbidden:
        return None


def _line(caller: Caller, operation: Operation[Any, Any], fields: str) -> CommandHint:
    lacks = None if caller.has_permission(operation.permission) else operation.permission
    return CommandHint(f"bootpress call {operation.name} {fields}", operation.summary, lacks)
