"""An attempt in words: a Markdown report of what was verified, and how it ended."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.errors import NotFound
from bootpress.core.publications.models import Publication

KIB = 1024


def render_attempt(context: Context, attempt_id: UUID) -> str:
    """Return the report of one attempt; NotFound for an unknown one.

    What came from outside is shown as code, or escaped, so that it cannot pass for markup.
    """
    with context.catalog.read_session() as session:
        attempt, delivery = _find(session, attempt_id)
        publication = session.get(Publication, attempt.publication_id) if attempt.publication_id else None
    word, _, reason = (attempt.outcome or "under way").partition(": ")
    lines = [f"## {code(delivery.platform_slug)}: {word}", "", *([escape_markdown(reason), ""] if reason else [])]
    lines += ["| | |", "| --- | --- |", f"| announced | {code(delivery.oci_ref)} |"]
    lines += _publication_rows(publication)
    lines += _evidence_rows(attempt.evidence)
    lines.append(f"| delivery | {code(str(delivery.id))}, attempt {delivery.attempt_count} |")
    if publication is not None:
        page = f"{context.public_url}/app/publications/{publication.id}"
        lines += [
            "",
            f"[publication {publication.id}]({page})",
            "",
            f"Show it: `bootpress call system_get_disk_image_publication id={publication.id}`",
        ]
    return "\n".join(lines)


def platform_slug(context: Context, attempt_id: UUID) -> str:
    """Return the slug that an attempt's delivery names, as it came from outside; NotFound for an unknown attempt."""
    with context.catalog.read_session() as session:
        return _find(session, attempt_id)[1].platform_slug


def _find(session: Session, attempt_id: UUID) -> tuple[Attempt, Delivery]:
    attempt = session.get(Attempt, attempt_id)
    delivery = session.get(Delivery, attempt.delivery_id) if attempt else None
    if attempt is None or delivery is None:
        raise NotFound(f"no attempt {attempt_id}")
    return attempt, delivery


def format_size(count: int) -> str:
    """Write a number of bytes as a person reads it."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= KIB
    return f"{value:.1f} TiB"


def _publication_rows(publication: Publication | None) -> list[str]:
    if publication is None:
        return []
    rows = [f"| digest | {code(publication.oci_digest)} |", f"| publication | {code(str(publication.id))} |"]
    if publication.git_sha:
        rows.append(f"| commit | {code(publication.git_sha)} |")
    return rows


def _evidence_rows(evidence: Mapping[str, Any]) -> list[str]:
    rows = []
    if manifest := evidence.get("manifest"):
        shown = f"{code(manifest['media_type'])}, {manifest['arch']}, {format_size(manifest['size_bytes'])}"
        rows.append(f"| manifest | {shown}, {manifest['seconds']:.2f} s |")
    if signature := evidence.get("signature"):
        rows.append(
            f"| signature | {_signer(signature['signer'])}, {signature['format']}, {signature['seconds']:.2f} s |"
        )
    if blobs := evidence.get("blobs"):
        rows.append(f"| blobs | {blobs['blobs']} verified, {format_size(blobs['bytes'])}, {blobs['seconds']:.2f} s |")
    return rows


def _signer(signer: Mapping[str, Any]) -> str:
    if signer["mode"] == "keys":
        return f"key {code(signer['key_sha256'] or '')}"
    return f"{code(signer['identity'] or '')} by {code(signer['issuer'] or '')}"


def code(text: str) -> str:
    """Show what came from outside as code."""
    return f"`{table_cell(text).replace('`', '')}`"


def table_cell(text: str) -> str:
    """Write what came from outside on one line of a table, at most 300 characters of it."""
    printable = "".join(one if one.isprintable() else " " for one in text)
    return printable.replace("|", "/").replace("<", "(")[:300]


def escape_markdown(text: str) -> str:
    """Write a reason, which may repeat an outsider, as text that Markdown takes as it is (CommonMark, 2.4)."""
    printable = "".join(one if one.isprintable() else " " for one in text)
    return re.sub(f"([{re.escape(string.punctuation)}])", r"\\\1", printable)
