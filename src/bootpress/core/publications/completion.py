"""How an attempt ends: published, failed for good, or put off; one transaction each.

Truth is written here and nowhere else, and only while the attempt still holds its delivery (compare-and-set).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from bootpress.core.builds import completion as builds
from bootpress.core.context import Context
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries import rules as delivery_rules
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.deliveries.payload import read_announcement
from bootpress.core.deliveries.states import AttemptStatus, DeliveryStatus
from bootpress.core.errors import (
    BootpressError,
    Conflict,
    ContentRejected,
    NotFound,
    ReferenceRejected,
    Rejected,
    SignatureRejected,
    Superseded,
    Unavailable,
)
from bootpress.core.events import service as events
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import find_platform, lock_platform
from bootpress.core.publications import events as history
from bootpress.core.publications import rules
from bootpress.core.publications.models import Publication
from bootpress.core.publications.ordering import next_number
from bootpress.core.publications.promotion import promote
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.references import digest_hex, parse_repository

MAX_REASON = 2000
REQUIRED = ("manifest", "signature", "blobs")
ADVICE: dict[type[Rejected], str] = {
    SignatureRejected: (
        "sign this digest by a key or identity that the platform trusts (`cosign sign`), push the signature, and"
        " announce the image again"
    ),
    ContentRejected: "mend the build, push its artifact again, and announce it",
    ReferenceRejected: "push to the platform's oci_repository, and announce what was pushed",
}
"""What to do about a rejection that does not say it itself."""


def publish(context: Context, attempt_id: UUID) -> UUID:
    """Publish what the evidence proves, in one transaction; the first of a platform becomes its default there too.

    Raises Superseded when another attempt took over, and Conflict when the platform's trust, architecture or repository
    is no longer what the evidence was found under, or the publication was revoked or is being purged meanwhile: then
    nothing is written.
    """
    with context.catalog.transaction() as session:
        attempt, delivery = attempts.lock_current(session, attempt_id)
        platform, publication = _lock_claimed(session, attempt)
        missing = [step for step in REQUIRED if step not in attempt.evidence]
        if missing:
            raise Superseded(f"attempt {attempt_id} has no evidence of: {', '.join(missing)}")
        _refuse_other_terms(attempt, platform)
        now = context.clock.now()
        publication.status = _after_publishing(publication)
        publication.proving_attempt_id = attempt.id
        _place(publication, attempt, delivery)
        publication.cosign_verified = True
        publication.signer = attempt.evidence["signature"]["signer"]
        publication.trust_sha256 = rules.fingerprint_trust(platform.trust)
        publication.trusted_root_sha256 = rules.fingerprint_root(platform.trust)
        publication.size_bytes = attempt.evidence["manifest"]["size_bytes"]
        publication.arch = attempt.evidence["manifest"]["arch"]
        publication.verified_at = publication.published_at = now
        publication.published_sequence = next_number(session, platform.id)
        publication.error_message = publication.retired_at = publication.purged_at = None
        platform.disk_image_oci_ref = f"{publication.repository}@{publication.oci_digest}"
        platform.disk_image_publication_status = Status.PUBLISHED
        platform.disk_image_publication_error = None
        history.record(
            session,
            events.Kind.PUBLISHED,
            publication,
            actor=delivery.actor,
            at=now,
            platform_slug=platform.slug,
            oci_ref=publication.oci_ref,
            sha256=digest_hex(publication.oci_digest),
            size_bytes=publication.size_bytes,
            arch=publication.arch,
            git_sha=publication.git_sha,
            signer=publication.signer,
        )
        if platform.default_publication_id is None:
            first = "first publication"
            promote(context, session, platform, publication, actor=delivery.actor, at=now, reason=first)
        delivery.status = delivery_rules.DELIVERY.transition("finish", DeliveryStatus(delivery.status))
        delivery.finished_at = now
        delivery.error_message = None
        attempts.finish(attempt, outcome="published", at=now)
        builds.finish_from_delivery(session, delivery, at=now)
        return publication.id


def _after_publishing(publication: Publication) -> Status:
    """Return the state that publishing leads to: what is published or retired already was verified in place."""
    status = Status(publication.status)
    if status == Status.PUBLISHED:
        return status
    if publication.purge_begun_at is not None:
        raise Conflict(
            f"publication {publication.id} is being purged from {publication.repository}",
            hint="it is verified again when that is done",
        )
    return rules.PUBLICATION.transition("restore" if status == Status.RETIRED else "publish", status)


def _place(publication: Publication, attempt: Attempt, delivery: Delivery) -> None:
    """Write where a publication was verified, and as what it was announced there."""
    if attempt.repository is None:  # it was claimed before 0004, which wrote this then
        return
    repository, announcement = parse_repository(attempt.repository), read_announcement(delivery.body)
    publication.repository = str(repository)
    publication.oci_ref = str(rules.read_reference(delivery.oci_ref, repository=repository))
    publication.git_sha = announcement.git_sha
    publication.claims = announcement.claims


def finish_with_error(context: Context, attempt_id: UUID, error: Exception) -> str:
    """End an attempt that met an error; return in one word what became of it.

    `failed`: the artifact is bad, or it was tried for 24 hours. `postponed`: something was away, or we are at fault;
    `relay` tries again. `superseded`: another attempt holds the delivery, and nothing was written.
    """
    try:
        with context.catalog.transaction() as session:
            attempt, delivery = attempts.lock_current(session, attempt_id)
            now = context.clock.now()
            if isinstance(error, Rejected) or delivery_rules.is_expired(
                retry_window_started_at=delivery.retry_window_started_at, now=now
            ):
                delivery.status = delivery_rules.DELIVERY.transition("fail", DeliveryStatus(delivery.status))
                _fail(session, attempt, delivery, reason=error_message(error), at=now)
                attempts.finish(attempt, outcome=f"failed: {error_message(error)}", at=now)
                return "failed"
            delivery.error_message = error_message(error)
            delivery.postponed_count += 1
            pause = delivery_rules.pause_before_retry(delivery.postponed_count)
            delivery.next_attempt_at = now + max(pause, _asked_pause(error))
            delivery.last_attempt_ended_at = now
            attempts.finish(attempt, outcome=f"postponed: {error_message(error)}", at=now)
            return "postponed"
    except Superseded:
        return "superseded"


def _asked_pause(error: Exception) -> timedelta:
    asked = error.retry_after if isinstance(error, Unavailable) else None
    return min(timedelta(seconds=asked or 0), delivery_rules.LONGEST_PAUSE)


def error_message(error: Exception) -> str:
    """Say in an operator's words what went wrong and what to do; of a fault of ours only its kind."""
    if isinstance(error, BootpressError):
        advice = next((text for kind, text in ADVICE.items() if isinstance(error, kind)), None)
        told = f"{error} ({advice})" if advice and not error.hint else str(error)
        # What outsiders wrote may be in it; databases take no NUL and no half of a surrogate pair.
        return told[:MAX_REASON].encode(errors="backslashreplace").decode().replace("\x00", "\\x00")
    return f"internal error ({type(error).__name__}); it is tried again, and the run's log has the details"


def fail_unattempted(session: Session, delivery: Delivery, *, reason: str, at: datetime) -> None:
    """Fail a delivery that no attempt holds, in the running transaction."""
    attempt = session.get(Attempt, delivery.current_attempt_id) if delivery.current_attempt_id else None
    if attempt is not None and attempt.status != AttemptStatus.ENDED:
        attempts.finish(attempt, outcome="given up", at=at)
    delivery.status = delivery_rules.DELIVERY.transition("give up", DeliveryStatus(delivery.status))
    _fail(session, attempt, delivery, reason=reason, at=at)


def _fail(session: Session, attempt: Attempt | None, delivery: Delivery, *, reason: str, at: datetime) -> None:
    platform = _platform_of(session, delivery)
    publication = _announced(session, delivery)
    if publication is not None and _is_held_by(session, publication, delivery):
        publication.status = rules.PUBLICATION.transition("fail", Status(publication.status))
        publication.cosign_verified = attempt is not None and "signature" in attempt.evidence
        publication.error_message = reason
    if platform is not None:
        platform.disk_image_publication_status = Status.FAILED
        platform.disk_image_publication_error = reason
    delivery.error_message = reason
    delivery.finished_at = at
    events.record(
        session,
        events.Kind.PUBLISH_FAILED,
        account_id=delivery.account_id,
        actor=delivery.actor,
        at=at,
        payload={
            "error_message": reason,
            "delivery_id": str(delivery.id),
            "publication_id": str(publication.id) if publication else None,
            "platform_slug": platform.slug if platform else delivery.platform_slug,
            "oci_ref": delivery.oci_ref,
        },
        node_platform_id=platform.id if platform else None,
    )
    builds.finish_from_delivery(session, delivery, at=at)


def _announced(session: Session, delivery: Delivery) -> Publication | None:
    if delivery.publication_id is None:
        return None
    return session.get(Publication, delivery.publication_id, with_for_update=True)


def _is_held_by(session: Session, publication: Publication, delivery: Delivery) -> bool:
    # By whichever of the delivery's attempts: the one that gives up may not have come as far as an earlier one.
    holder = session.get(Attempt, publication.current_attempt_id) if publication.current_attempt_id else None
    return publication.status == Status.VERIFYING and holder is not None and holder.delivery_id == delivery.id


def _refuse_other_terms(attempt: Attempt, platform: NodePlatform) -> None:
    now = rules.policy_fingerprint(trust=platform.trust, arch=platform.arch, repository=platform.oci_repository)
    if any(attempt.evidence[step]["terms"] != now for step in REQUIRED):
        raise Conflict(
            f"the trust, architecture or repository of {platform.slug} was changed while the image was verified",
            hint="it is verified again under what holds now",
        )


def _platform_of(session: Session, delivery: Delivery) -> NodePlatform | None:
    platform_id = delivery.node_platform_id  # known since it was claimed
    try:
        if platform_id is None:
            platform_id = find_platform(session, delivery.account_id, delivery.platform_slug).id
    except NotFound:
        return None
    return lock_platform(session, platform_id)


def _lock_claimed(session: Session, attempt: Attempt) -> tuple[NodePlatform, Publication]:
    """Lock what an attempt has claimed, and its platform; Superseded when it holds nothing."""
    claimed = session.get(Publication, attempt.publication_id) if attempt.publication_id else None
    if claimed is not None:
        platform = lock_platform(session, claimed.node_platform_id)
        publication = session.get_one(Publication, claimed.id, with_for_update=True)
        if publication.current_attempt_id == attempt.id:
            return platform, publication
    raise Superseded(f"attempt {attempt.id} does not hold its publication")
