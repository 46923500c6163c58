"""The way of one image, step by step: resolve, read the manifest, verify the signature, verify the blobs, publish.

Each step takes an attempt's id, does one thing, and writes what it found as evidence on the attempt; `publish`
decides (in `settling`) on the evidence alone, and only while its attempt is still the current one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bootpress.core.breakers import service as breakers
from bootpress.core.connections.service import open_registry
from bootpress.core.context import Context
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries import rules as delivery_rules
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.deliveries.payload import DeliveryPayload, read_announcement
from bootpress.core.deliveries.states import AttemptStatus
from bootpress.core.errors import (
    BootpressError,
    ContentRejected,
    InvalidInput,
    NotFound,
    ReferenceRejected,
    RegistryFailing,
    RegistryUnavailable,
    Rejected,
    Superseded,
)
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import find_platform
from bootpress.core.platforms.trust import trust_policy
from bootpress.core.ports import Descriptor, Progress, Registry
from bootpress.core.publications import rules
from bootpress.core.publications.acquire import PublicationKey, claim_publication, lock_manifests, refuse_while_deleted
from bootpress.core.publications.artifacts import artifact_rows, check_config, fetch_children
from bootpress.core.publications.blob_verification import verify_all
from bootpress.core.publications.completion import error_message, finish_with_error, publish
from bootpress.core.publications.models import Artifact, Publication
from bootpress.core.publications.recording import record_artifacts
from bootpress.core.references import Repository, parse_repository

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StepInput:
    """What a step needs to know of its attempt, read in one transaction that is over."""

    attempt: Attempt
    delivery: Delivery
    announcement: DeliveryPayload
    platform: NodePlatform
    publication: Publication | None
    repository: Repository
    resolved: str | None
    """The digest that an earlier attempt of this delivery found."""
    is_host_failing: bool
    """Whether the circuit breaker of the registry's host is not closed."""

    @property
    def claimed(self) -> Publication:
        """Return the publication that resolve claimed for this attempt."""
        if self.publication is None:
            raise Superseded(f"attempt {self.attempt.id} has not resolved its reference")
        return self.publication

    @property
    def digest(self) -> str:
        """Return the digest that was resolved."""
        return self.claimed.oci_digest


@dataclass(slots=True)
class StepOutput:
    """What a step found: facts for the evidence, rows of content."""

    facts: dict[str, Any] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)


def resolve(context: Context, attempt_id: UUID) -> bool:
    """Find platform, reference and digest, and claim the publication; False when there is nothing to do.

    Raises Rejected for an unknown platform, a reference elsewhere or a revoked digest, RegistryUnavailable, and
    RegistryUnavailable too while another delivery is verifying or a purge is deleting the same digest.
    """
    work = _load(context, attempt_id)
    _refuse_when_too_old(context, work)
    reference = rules.read_reference(work.delivery.oci_ref, repository=work.repository)
    # A tag is read once: it may move while the delivery waits, and whoever moved it announces that himself.
    digest = work.announcement.digest or work.resolved
    if digest is None:
        with _asking(context, work) as registry:
            digest = registry.resolve_tag(work.repository, reference.tag or "latest")
    rules.check_digest_claims(work.announcement, digest)
    try:
        with context.catalog.transaction() as session:
            attempt, delivery = attempts.lock_current(session, attempt_id)
            claim = PublicationKey(work.platform, work.repository, reference, digest, work.announcement)
            is_claimed = claim_publication(
                session, attempt, delivery, claim, verifier=context.verifier, now=context.clock.now()
            )
    except IntegrityError as error:
        raise RegistryUnavailable(f"{digest} is being announced by another delivery") from error
    if is_claimed:
        _refuse_while_deleted(context, work, [digest])
    return is_claimed


def read_manifest(context: Context, attempt_id: UUID) -> dict[str, Any]:
    """Fetch the manifest by digest, and an index's children; record all content it names."""
    with _step(context, attempt_id, "manifest") as (work, found), _asking(context, work) as registry:
        top = registry.fetch_manifest(work.repository, work.digest)
        manifests = [top, *fetch_children(registry, work.repository, top)]
        rules.check_sizes(manifests)
        image = top
        if top.is_index:
            chosen = rules.select_for_arch(top.manifests, work.platform.arch)
            image = next(child for child in manifests if child.digest == chosen.digest)
        check_config(registry, work.repository, image, arch=work.platform.arch)
        size_bytes = rules.image_size(image)
        rules.check_content_claims(work.announcement, arch=work.platform.arch, size_bytes=size_bytes)
        found.artifacts = artifact_rows(manifests)
        found.facts = {
            "media_type": top.media_type,
            "artifact_type": top.artifact_type,
            "manifests": len(manifests),
            "arch": work.platform.arch,
            "size_bytes": size_bytes,
        }
    return found.facts


def verify_signature(context: Context, attempt_id: UUID) -> dict[str, Any]:
    """Check that somebody whom the platform trusts signed exactly this digest."""
    with _step(context, attempt_id, "signature") as (work, found), _asking(context, work) as registry:
        policy = trust_policy.validate_python(work.platform.trust)
        signature = context.verifier.verify(registry, work.repository, work.digest, policy)
        found.facts = {
            "signer": asdict(signature.signer),
            "format": signature.format,
            "manifest_digest": signature.manifest_digest,
            "signed_at": signature.signed_at.isoformat() if signature.signed_at else None,
            "docker_reference": signature.docker_reference,
        }
    return found.facts


def verify_blobs(context: Context, attempt_id: UUID, progress: Progress | None = None) -> dict[str, Any]:
    """Stream every blob of every manifest and check its size and SHA-256; nothing is kept.

    Manifests are looked at once more: a purge that did not know yet that they are needed may have deleted them while
    they were read. Since their rows are written none will.
    """
    with _step(context, attempt_id, "blobs") as (work, found):
        with context.catalog.read_session() as session:
            rows = session.scalars(select(Artifact).where(Artifact.publication_id == work.claimed.id)).all()
        manifests = {row.digest for row in rows if row.role == "manifest"}
        blobs = {
            row.digest: Descriptor(row.media_type, row.digest, row.size_bytes) for row in rows if row.role != "manifest"
        }
        _refuse_while_deleted(context, work, [*manifests])
        with _asking(context, work) as registry:
            for digest in manifests:
                registry.fetch_manifest(work.repository, digest)
            verify_all(registry, work.repository, list(blobs.values()), progress)
        found.facts = {"blobs": len(blobs), "bytes": sum(blob.size for blob in blobs.values())}
    return found.facts


STEPS: tuple[Callable[[Context, UUID], object], ...] = (read_manifest, verify_signature, verify_blobs)
"""What lies between resolve and publish, in order."""


def ingest_delivery(context: Context, delivery_id: UUID, *, attempt_id: UUID) -> str:
    """Take one delivery all the way, and settle it if a step fails; return in a word what became of it."""
    try:
        attempt_id = attempts.start(context, delivery_id, attempt_id=attempt_id, flow_run_id=None)
        if not resolve(context, attempt_id):
            return "announced again"
        for step in STEPS:
            step(context, attempt_id)
        publish(context, attempt_id)
    except Exception as error:
        outcome = finish_with_error(context, attempt_id, error)
        logger.warning("delivery %s: %s: %s", delivery_id, outcome, error_message(error), exc_info=not _is_ours(error))
        return outcome
    return "published"


def _is_ours(error: Exception) -> bool:
    return isinstance(error, BootpressError)


def _load(context: Context, attempt_id: UUID) -> StepInput:
    with context.catalog.read_session() as session:
        attempt = session.get(Attempt, attempt_id)
        delivery = session.get(Delivery, attempt.delivery_id) if attempt else None
        if attempt is None or delivery is None:
            raise NotFound(f"no attempt {attempt_id}")
        if delivery.current_attempt_id != attempt.id or attempt.status != AttemptStatus.RUNNING:
            raise Superseded(f"attempt {attempt_id} no longer holds delivery {delivery.id}")
        publication = session.get(Publication, attempt.publication_id) if attempt.publication_id else None
        earlier = session.get(Publication, delivery.publication_id) if delivery.publication_id else None
        platform = _platform(session, delivery)
        # A claimed publication may still lie elsewhere until it is published from here; before 0004 it did not.
        claimed = publication.repository if publication else platform.oci_repository
        repository = parse_repository(attempt.repository or claimed)
        is_failing = breakers.find(session, delivery.account_id, repository.host) is not None
    resolved = earlier.oci_digest if earlier else None
    return StepInput(
        attempt, delivery, _announcement(delivery), platform, publication, repository, resolved, is_failing
    )


def _platform(session: Session, delivery: Delivery) -> NodePlatform:
    # A slug may be another platform's by the next step: once it was claimed for one, that one is meant.
    if delivery.node_platform_id is not None:
        return session.get_one(NodePlatform, delivery.node_platform_id)
    try:
        return find_platform(session, delivery.account_id, delivery.platform_slug)
    except NotFound as error:
        raise ReferenceRejected(
            f"the announcement names the node platform {delivery.platform_slug[:100]!r}, which does not exist",
            hint="create it with system_create_node_platform, or correct the pipeline's platform_slug",
        ) from error


def _announcement(delivery: Delivery) -> DeliveryPayload:
    try:
        return read_announcement(delivery.body)
    except InvalidInput as error:
        raise ContentRejected(f"the announcement cannot be read: {error.message}", hint=error.hint) from error


@contextmanager
def _asking(context: Context, work: StepInput) -> Iterator[Registry]:
    """Open the registry of a step, and tell its circuit breaker what came of it.

    Raises RegistryPaused while the breaker is open. A rejection is an answer, and so is a refusal of our credential.
    """
    account_id, host = work.delivery.account_id, work.repository.host
    if work.is_host_failing:
        breakers.admit(context, account_id, host, work.attempt.id)
    registry = open_registry(context, account_id, host, work.platform.registry_name)
    try:
        yield registry
    except RegistryFailing as error:
        breakers.note_failure(context, account_id, host, error.message)
        raise
    except (Rejected, RegistryUnavailable):
        _note_answer(context, work)
        raise
    _note_answer(context, work)


def _note_answer(context: Context, work: StepInput) -> None:
    if work.is_host_failing:
        breakers.note_answer(context, work.delivery.account_id, work.repository.host)


def _refuse_while_deleted(context: Context, work: StepInput, digests: Sequence[str]) -> None:
    with context.catalog.read_session() as session:
        refuse_while_deleted(session, work.repository, digests, now=context.clock.now())


def _refuse_when_too_old(context: Context, work: StepInput) -> None:
    # A delivery whose attempts only ever die never reaches a handler that could give up.
    tried, now = work.delivery, context.clock.now()
    if delivery_rules.is_crash_looping(
        retry_window_started_at=tried.retry_window_started_at,
        last_attempt_ended_at=tried.last_attempt_ended_at,
        now=now,
    ):
        said = f"; the last one: {tried.error_message}" if tried.error_message else ""
        raise Rejected(
            f"given up after 24 hours and {tried.attempt_count - 1} attempts{said}",
            hint="see the runs of this delivery for what ended them, then retry",
        )


@contextmanager
def _step(context: Context, attempt_id: UUID, name: str) -> Iterator[tuple[StepInput, StepOutput]]:
    """Load the work for a step, and write what it found as evidence when it holds."""
    begun = time.monotonic()
    work, found = _load(context, attempt_id), StepOutput()
    yield work, found
    found.facts["seconds"] = round(time.monotonic() - begun, 4)
    found.facts["terms"] = rules.policy_fingerprint(
        trust=work.platform.trust, arch=work.platform.arch, repository=str(work.repository)
    )
    if name == "manifest":
        record_artifacts(context, attempt_id, work.claimed.id, work.repository, found.artifacts)
    with context.catalog.transaction() as session:
        attempt, _ = attempts.lock_current(session, attempt_id)
        if name == "manifest":
            manifests = [row.digest for row in found.artifacts if row.role == "manifest"]
            lock_manifests(session, work.repository, manifests)
        attempt.evidence = {**attempt.evidence, name: found.facts}
