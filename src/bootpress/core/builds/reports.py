"""A build in words: what its flow run shows at its end."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from bootpress.core.builds import rules
from bootpress.core.builds.models import Build
from bootpress.core.builds.states import BuildStatus
from bootpress.core.context import Context
from bootpress.core.errors import NotFound
from bootpress.core.publications.models import Publication
from bootpress.core.publications.reports import code, escape_markdown

_LINK = re.compile(r"https?://[^\s()<>\[\]`\"']{1,1000}")


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """How a build ended, or how it stands."""

    status: BuildStatus
    reason: str
    """Why it has no image; empty where it has one."""
    text: str
    """All of it, in Markdown."""
    platform: str | None


def get_summary(context: Context, build_id: UUID) -> BuildSummary:
    """Return how a build stands; NotFound for an unknown one.

    What came from outside is shown as code, or escaped, so that it cannot pass for markup.
    """
    with context.catalog.read_session() as session:
        build = session.get(Build, build_id)
        if build is None:
            raise NotFound(f"no build {build_id}")
        publication = session.get(Publication, build.publication_id) if build.publication_id else None
    lines = [f"## {code(build.platform_slug or build.repo)}: {build.status.replace('_', ' ')}", ""]
    if build.error_message:
        lines += [escape_markdown(build.error_message), ""]
    lines += ["| | |", "| --- | --- |", f"| workflow | {code(build.workflow)} of {code(build.repo)} |"]
    lines += [f"| ref | {code(build.ref)} |", f"| run | {_run(build)} |"]
    if build.head_sha:
        lines.append(f"| commit | {code(build.head_sha)} |")
    if publication is not None:
        lines.append(f"| digest | {code(publication.oci_digest)} |")
    if build.delivery_id:
        lines.append(f"| delivery | {code(str(build.delivery_id))} |")
    if build.finished_at:
        lines.append(f"| took | {(build.finished_at - build.created_at).total_seconds() / 60:.1f} minutes |")
    if publication is not None:
        page = f"{context.public_url}/app/publications/{publication.id}"
        lines += ["", f"[publication {publication.id}]({page})"]
    status = BuildStatus(build.status)
    return BuildSummary(status, build.error_message or "", "\n".join(lines), build.platform_slug)


def mark_reported(context: Context, build_id: UUID) -> None:
    """Write down that a finished build's flow run has said how it ended."""
    with context.catalog.transaction() as session:
        build = session.get_one(Build, build_id, with_for_update=True)
        if build.status not in rules.UNFINISHED and build.reported_at is None:
            build.reported_at = context.clock.now()


def _run(build: Build) -> str:
    name = build.run_id or "not known"
    if build.run_url and _LINK.fullmatch(build.run_url):
        return f"[{escape_markdown(name)}]({build.run_url})"
    return code(name)
