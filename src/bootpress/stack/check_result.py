"""What `bootpress doctor` found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bootpress.core.errors import BootpressError


class CheckStatus(StrEnum):
    """How something is; only `fail` makes the exit code 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was looked at, how it is, and what to do about it."""

    name: str
    health: CheckStatus
    detail: str
    hint: str | None = None


def run_check(name: str, look: Callable[[], CheckResult]) -> CheckResult:
    """Look at something; whatever goes wrong becomes a finding."""
    try:
        return look()
    except BootpressError as error:
        return CheckResult(name, CheckStatus.FAIL, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - a database can fail in as many ways as there are drivers
        return CheckResult(name, CheckStatus.FAIL, f"{type(error).__name__}, which should not happen", "see the logs")
