"""A clock whose waits pass at once, so that a test of a retry takes no longer than its requests."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

from bootpress.adapters.oci import Clock


class SkippingClock:
    """Real time, and what was slept besides."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Note a wait, and let it be over."""
        self.slept.append(seconds)

    def monotonic(self) -> float:
        """Return the time that seems to have passed."""
        return time.monotonic() + sum(self.slept)

    def now(self) -> datetime:
        """Return the moment that it seems to be."""
        return datetime.now(UTC) + timedelta(seconds=sum(self.slept))

    @property
    def timing(self) -> Clock:
        """Return it as the adapter takes it; chance always says 0."""
        return Clock(monotonic=self.monotonic, sleep=self.sleep, now=self.now, jitter=lambda: 0.0)


class PerThreadSkippingClock(SkippingClock):
    """Where what one thread waits passes for it alone: what another has under way did not become slow by it."""

    def __init__(self) -> None:
        super().__init__()
        self._own = threading.local()

    def sleep(self, seconds: float) -> None:
        """Note a wait, and let it be over for the calling thread."""
        super().sleep(seconds)
        self._own.slept = getattr(self._own, "slept", 0.0) + seconds

    def monotonic(self) -> float:
        """Return the time that seems to have passed for the calling thread."""
        return time.monotonic() + float(getattr(self._own, "slept", 0.0))


class FastTime:
    """A clock that runs so many times as fast as the real one: what takes minutes by it is over in seconds."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def sleep(self, seconds: float) -> None:
        """Wait so long by this clock."""
        time.sleep(seconds / self._speed)

    def monotonic(self) -> float:
        """Return the time by this clock."""
        return time.monotonic() * self._speed

    @property
    def timing(self) -> Clock:
        """Return it as the adapter takes it; chance always says 0."""
        return Clock(monotonic=self.monotonic, sleep=self.sleep, jitter=lambda: 0.0)
