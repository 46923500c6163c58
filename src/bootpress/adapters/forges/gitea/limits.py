"""How long, how often and how much: the bounds of one Gitea, and the time they are measured with."""

from __future__ import annotations

import threading
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that an operator may want otherwise; seconds and bytes."""

    connect_seconds: float = 5
    silence_seconds: float = 20
    """Between two reads of a connection."""
    call_seconds: float = 60
    """For a call as a whole: tries, and the waits between them."""
    log_seconds: float = 300
    """For a log as a whole, its reader's time included."""
    tries: int = 4
    backoff_seconds: float = 0.5
    """Before the second try; doubled for each further one, and shortened by up to half at random."""
    longest_wait_seconds: float = 20
    """However long a Retry-After asks for."""
    answer_bytes: int = 8 * MIB
    page: int = 50
    """Entries of a page: the most that Gitea gives unless it is told otherwise (`[api] MAX_RESPONSE_ITEMS`)."""
    pages: int = 200
    connections: int = 16


class KeyedLocks:
    """One thread at a time for each key; shared by every Gitea of this process.

    Keys share locks, so that there is a number of them: who waits for another key's turn waits in vain, not wrongly.
    """

    def __init__(self, count: int = 64) -> None:
        self._locks = tuple(threading.Lock() for _ in range(count))

    def of(self, *key: str) -> threading.Lock:
        """Return the lock of a key."""
        return self._locks[hash(key) % len(self._locks)]
