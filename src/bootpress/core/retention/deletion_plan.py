"""What a purge deletes of a publication: its manifests, and what is about them and nothing else.

Tags and indexes say what their writers want. A referrer counts if it names the image itself, what cosign 2 attached if
it does, and a fallback index if it lists nothing but what is deleted too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select

from bootpress.core.context import Context
from bootpress.core.errors import ContentRejected
from bootpress.core.ports import Attachment, Registry
from bootpress.core.publications.models import Artifact, Publication
from bootpress.core.references import Repository, digest_hex

SUBJECT, CHILD, REFERRER, FALLBACK, UNREAD = "subject", "child", "referrer", "fallback", "unread"


@dataclass(frozen=True, slots=True)
class PlannedDeletion:
    """One manifest to delete, and what it is to the publication.

    The role of what was attached by a tag, and does not say itself to what, is that tag's suffix.
    """

    digest: str
    role: str
    subject: str
    kept: str | None = None
    """Why it is not to be deleted, of what could not be read."""


def make_plan(
    context: Context, registry: Registry, repository: Repository, publication: Publication
) -> list[PlannedDeletion]:
    """List a publication's manifests, then their referrers, then the fallback indexes.

    This order is in docs/reference/contract.md#keeping-images.
    Raises RegistryUnavailable, and ContentRejected when a list of referrers cannot be read.
    """
    subjects = _manifests_of(context, publication)
    planned = [PlannedDeletion(one, SUBJECT if one == publication.oci_digest else CHILD, one) for one in subjects]
    fallbacks: list[PlannedDeletion] = []
    for subject in subjects:
        referrers = _referrers(registry, repository, subject)
        planned += [PlannedDeletion(digest, REFERRER, subject) for digest in referrers]
        planned += [_attached(one, subject) for one in context.verifier.find_attachments(registry, repository, subject)]
        fallback = _fallback(registry, repository, subject, referrers)
        fallbacks += [PlannedDeletion(fallback, FALLBACK, subject)] if fallback is not None else []
    first: dict[str, PlannedDeletion] = {}
    for one in [*planned, *fallbacks]:
        first.setdefault(one.digest, one)
    return list(first.values())


def _attached(attachment: Attachment, subject: str) -> PlannedDeletion:
    if attachment.unread is not None:
        return PlannedDeletion(attachment.digest, UNREAD, subject, attachment.unread)
    return PlannedDeletion(attachment.digest, REFERRER if attachment.names_subject else attachment.suffix, subject)


def _manifests_of(context: Context, publication: Publication) -> list[str]:
    query = select(Artifact.digest).where(Artifact.publication_id == publication.id, Artifact.role == "manifest")
    with context.catalog.read_session() as session:
        own = session.scalars(query.order_by(Artifact.digest)).all()
    return list(dict.fromkeys([publication.oci_digest, *own]))


def _referrers(registry: Registry, repository: Repository, subject: str) -> list[str]:
    """Return those that themselves say so: a fallback index may list what refers to another image, or is one."""
    found = []
    for listed in registry.list_referrers(repository, subject):
        try:
            stated = registry.fetch_manifest(repository, listed.digest).subject
        except ContentRejected:  # not there, or not what it is listed as: nothing to delete
            continue
        found += [listed.digest] * (stated is not None and stated.digest == subject)
    return found


def _fallback(registry: Registry, repository: Repository, subject: str, referrers: Collection[str]) -> str | None:
    """Return the index under the fallback tag if it lists nothing but these; anything may lie under that tag."""
    try:
        fallback = registry.find_tag(repository, f"sha256-{digest_hex(subject)}")
        if fallback is None:
            return None
        listed = {entry.digest for entry in registry.fetch_manifest(repository, fallback).manifests}
    except ContentRejected:
        return None
    return fallback if listed and listed <= set(referrers) else None
