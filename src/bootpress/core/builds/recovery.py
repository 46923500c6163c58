"""Recover a lost callback: find the image of a build in its platform's repository, and announce it ourselves."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from bootpress.core.builds import rules
from bootpress.core.builds.completion import RECOVERED
from bootpress.core.builds.models import Build
from bootpress.core.connections.service import find_connection
from bootpress.core.context import Context
from bootpress.core.deliveries.attempts import launch_or_defer
from bootpress.core.deliveries.models import Delivery
from bootpress.core.errors import Rejected
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.publications.service import create_delivery
from bootpress.core.references import parse_repository
from bootpress.core.retention.unreachable import Unreachable


@dataclass(frozen=True, slots=True)
class Recovery:
    """The delivery that stands for a lost callback, or why there is none."""

    delivery_id: UUID | None
    reason: str = ""


def recover(context: Context, build_id: UUID, unreachable: Unreachable) -> Recovery:
    """Announce what a build has pushed; it is verified as if its webhook had announced it.

    The image is looked for at the tag that the template's workflow gives it, and must say that this build made it.
    Raises RegistryUnavailable, RegistryUnreachable for a registry that `unreachable` gave up, OrchestratorUnavailable.
    """
    with context.catalog.read_session() as session:
        build = session.get_one(Build, build_id)
        platform = session.get(NodePlatform, build.node_platform_id) if build.node_platform_id else None
    if platform is None:
        return Recovery(None, "it belongs to no platform whose repository could be searched")
    repository = parse_repository(platform.oci_repository)
    connection = find_connection(context, build.account_id, repository.host, platform.registry_name)
    registry = context.registries.open(connection)
    tag = rules.image_tag(build.ref)
    try:
        with unreachable.asking(build.account_id, connection, registry):
            digest = registry.find_tag(repository, tag)
            annotations = registry.fetch_manifest(repository, digest).annotations if digest else {}
    except Rejected as error:
        return Recovery(None, f"{repository}:{tag} cannot be read: {error.message}")
    if digest is None:
        return Recovery(None, f"there is no {repository}:{tag}")
    if not rules.is_built_by(annotations, dispatch_id=build.dispatch_id, head_sha=build.head_sha):
        return Recovery(None, f"{repository}:{tag} does not say that this build made it")
    delivery_id = _announce(context, build_id, repository.at(digest), annotations.get(rules.REVISION))
    if delivery_id is None:
        return Recovery(None, "its callback came meanwhile")
    launch_or_defer(context, delivery_id)
    return Recovery(delivery_id)


def _announce(context: Context, build_id: UUID, oci_ref: str, revision: str | None) -> UUID | None:
    with context.catalog.transaction() as session:
        build = session.get_one(Build, build_id, with_for_update=True)
        if build.status not in rules.OPEN or build.delivery_id is not None:
            return None
        delivery_id = create_delivery(
            context,
            session,
            platform=session.get_one(NodePlatform, build.node_platform_id),
            oci_ref=oci_ref,
            actor=build.actor,
            source=RECOVERED,
            extra={"dispatch_id": build.dispatch_id, **({"git_sha": revision} if revision else {})},
        )
        session.get_one(Delivery, delivery_id).build_id = build.id
        build.delivery_id = delivery_id
        return delivery_id
