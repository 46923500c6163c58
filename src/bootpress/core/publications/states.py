"""What a publication may be."""

from __future__ import annotations

from enum import StrEnum


class PublicationStatus(StrEnum):
    """The life of a publication (CONTRACT.md, Platforms, publications)."""

    QUEUED = "queued"
    VERIFYING = "verifying"
    PUBLISHED = "published"
    FAILED = "failed"
    RETIRED = "retired"
    PURGED = "purged"
    REVOKED = "revoked"
