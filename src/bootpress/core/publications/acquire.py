"""Claiming: one publication for one platform and digest, held by one attempt at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from bootpress.core import advisory_locks
from bootpress.core.builds import completion as builds
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries import rules as delivery_rules
from bootpress.core.deliveries.leases import is_live
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.deliveries.payload import DeliveryPayload
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.errors import ContentRejected, RegistryUnavailable
from bootpress.core.events.service import Kind
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import lock_platform
from bootpress.core.ports import SignatureVerifier
from bootpress.core.publications import events, rules
from bootpress.core.publications.eligibility import differences
from bootpress.core.publications.models import Publication
from bootpress.core.publications.ordering import next_number
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.references import Reference, Repository, parse_repository
from bootpress.core.retention.deletion_steps import DELETE_TIMEOUT
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.states import StepStatus


@dataclass(frozen=True, slots=True)
class PublicationKey:
    """What an attempt wants to publish, resolved to a digest."""

    platform: NodePlatform
    repository: Repository
    reference: Reference
    digest: str
    announcement: DeliveryPayload


def claim_publication(
    session: Session,
    attempt: Attempt,
    delivery: Delivery,
    claim: PublicationKey,
    *,
    verifier: SignatureVerifier,
    now: datetime,
) -> bool:
    """Give the digest's publication to an attempt, new if need be; False if it is settled and was only announced again.

    A settled one that is not what the platform demands now keeps its state while it is verified anew; `publish` moves
    it. Raises ContentRejected where that one is revoked, RegistryUnavailable while another attempt verifies the digest
    or a purge deletes it.
    """
    platform = lock_platform(session, claim.platform.id)
    lock_manifests(session, claim.repository, [claim.digest])
    publication = session.scalar(
        select(Publication)
        .where(Publication.node_platform_id == claim.platform.id, Publication.oci_digest == claim.digest)
        .with_for_update()
    )
    if publication is None:
        publication = Publication(
            id=uuid4(),
            account_id=delivery.account_id,
            node_platform_id=claim.platform.id,
            repository=str(claim.repository),
            oci_digest=claim.digest,
            oci_ref=str(claim.reference),
            sequence=next_number(session, claim.platform.id),
            status=Status.QUEUED,
            cosign_verified=False,
            pinned=False,
            attempt_count=0,
            claims={},
            created_at=now,
        )
        session.add(publication)
    is_settled = Status(publication.status) in rules.SETTLED
    if is_settled and not differences(verifier, platform, publication):
        _reannounce(session, attempt, delivery, publication, now)
        return False
    _refuse_while_busy(session, publication, attempt, now)
    if is_settled:
        _refuse_unless_movable(publication)
    else:
        _start_over(publication, claim)
    publication.current_attempt_id = attempt.id
    publication.attempt_count += 1
    attempt.evidence = {}
    attempt.repository = str(claim.repository)
    platform.disk_image_publication_status = Status.VERIFYING
    platform.disk_image_publication_error = None
    session.flush()
    attempt.publication_id = delivery.publication_id = publication.id
    delivery.node_platform_id = claim.platform.id
    return True


def _start_over(publication: Publication, claim: PublicationKey) -> None:
    publication.status = rules.PUBLICATION.transition("verify", Status(publication.status))
    publication.repository = str(claim.repository)
    publication.oci_ref = str(claim.reference)
    publication.git_sha = claim.announcement.git_sha
    publication.claims = claim.announcement.claims
    publication.cosign_verified = False
    publication.signer = publication.error_message = publication.proving_attempt_id = None


def _refuse_unless_movable(publication: Publication) -> None:
    if publication.status == Status.REVOKED:
        raise ContentRejected(
            f"{publication.oci_digest} is publication {publication.id}, which is revoked",
            hint="have the pipeline build another image and announce that",
        )
    if publication.purge_begun_at is not None:
        raise RegistryUnavailable(
            f"publication {publication.id} is being purged from {publication.repository}",
            hint="it is verified again when that is done",
        )


def _reannounce(
    session: Session, attempt: Attempt, delivery: Delivery, publication: Publication, now: datetime
) -> None:
    events.record(session, Kind.REANNOUNCED, publication, actor=delivery.actor, at=now, status=publication.status)
    attempt.publication_id = delivery.publication_id = publication.id
    delivery.node_platform_id = publication.node_platform_id
    delivery.status = delivery_rules.DELIVERY.transition("finish", DeliveryStatus(delivery.status))
    delivery.finished_at = now
    delivery.error_message = None
    attempts.finish(attempt, outcome=f"announced again: {publication.status}", at=now)
    builds.finish_from_delivery(session, delivery, at=now)


def _refuse_while_busy(session: Session, publication: Publication, attempt: Attempt, now: datetime) -> None:
    other = session.get(Attempt, publication.current_attempt_id) if publication.current_attempt_id else None
    if other is not None and other.id != attempt.id and is_live(other, now):
        raise RegistryUnavailable(f"{publication.oci_digest} is being verified for another delivery")


def lock_manifests(session: Session, repository: Repository, digests: Sequence[str]) -> None:
    """Let no purge begin to delete these manifests before this transaction has written who needs them.

    Raises RegistryUnavailable while one of them, or what refers to it, is being deleted: a delete that was asked for
    and not answered may still take effect. Under another host it may be another registry's: see `refuse_while_deleted`.
    """
    advisory_locks.acquire(session, digests)
    for step in _deletes(session, digests):
        if parse_repository(step.repository).canonical == repository.canonical:
            raise RegistryUnavailable(f"{step.digest} is being deleted from the registry")


def refuse_while_deleted(session: Session, repository: Repository, digests: Sequence[str], *, now: datetime) -> None:
    """Wait for deletes of these manifests under other hosts, which may be other names of the same registry.

    To be asked after they were claimed: no further delete begins without a proof that it is another registry, or
    without its answer where nothing was read from it yet; what was under way has taken effect, or never does.
    Raises RegistryUnavailable until then.
    """
    for step in _deletes(session, digests):
        other, is_under_way = parse_repository(step.repository).canonical, abs(now - step.updated_at) <= DELETE_TIMEOUT
        if is_under_way and other.host != repository.canonical.host:
            raise RegistryUnavailable(f"{step.digest} is being deleted from a registry that may be the same one")


def _deletes(session: Session, digests: Sequence[str]) -> Sequence[DeletionStep]:
    deleting = select(DeletionStep).where(
        DeletionStep.digest.in_(digests) | DeletionStep.subject.in_(digests),
        DeletionStep.status == StepStatus.DELETING,
    )
    return session.scalars(deleting).all()
