"""How long, how often and how much: the bounds of one registry, and the time they are measured with."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024
MAX_MANIFEST = 4 * MIB
"""Bytes of a manifest, an index or one page of referrers (distribution-spec 1.1, "Pushing manifests")."""
MAX_REFERRERS = 1000
MAX_BLOB = 1024 * 1024 * MIB
"""Bytes that a descriptor may declare: 1 TiB."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that an operator may want otherwise; seconds and bytes."""

    connect_seconds: float = 10
    silence_seconds: float = 20
    """Between two reads of a connection."""
    request_seconds: float = 60
    """For a small request as a whole: redirects, tokens, tries and the waits between them."""
    tries: int = 4
    backoff_seconds: float = 0.5
    """Before the second try; doubled for each further one, and shortened by up to half at random."""
    longest_wait_seconds: float = 30
    """However long a Retry-After asks for."""
    redirects: int = 3
    blob_seconds: float = 600
    """For a blob as a whole, and a second more for each `blob_rate` bytes of it."""
    blob_rate: int = MIB
    blob_responses: int = 20
    """Responses that one blob may take: first try, resumes and restarts."""
    slowest_rate: int = 16 * 1024
    """Bytes per second below which a blob is given up, measured over `rate_seconds`."""
    rate_seconds: float = 20
    large_body: int = 64 * MIB
    """Bytes from which a body is read faster than httpcore does, and its connection not used again."""
    connections: int = 32
    streams: int = 24
    """Blobs under way at once; the other connections are for what takes a moment, and would wait behind large ones."""
