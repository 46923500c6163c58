"""What a publication may be."""

from __future__ import annotations

from enum import StrEnum


class PublicationStatus(StrEnum):
    """The life of a publication (docs/reference/contract.md#publication-states)."""

    QUEUED = "queued"
    VERIFYING = "verifying"
    PUBLISHED = "published"
    FAILED = "failed"
    RETIRED = "retired"
    PURGED = "purged"
    REVOKED = "revoked"
