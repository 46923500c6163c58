"""What `bootpress doctor` found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bootpress.core.errors import BootpressError


class Health(StrEnum):
    """How something is; only `fail` makes the exit code 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    name: str
    health: Health
    detail: str
    hint: str | None = None


def guarded(name: str, look: Callable[[], Finding]) -> Finding:
    """Look at something; whatever goes wrong becomes a finding."""
    try:
        return look()
    except BootpressError as error:
        return Finding(name, Health.FAIL, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - a database can fail in as many ways as there are drivers
        return Finding(name, Health.FAIL, f"{type(error).__name__}, which should not happen", "see the logs")
