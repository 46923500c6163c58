"""What `bootpress doctor` says of webhooks: which of them are near their daily budget."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from bootpress.core.database import Database
from bootpress.core.deliveries import budgets
from bootpress.stack.check_result import CheckResult, CheckStatus

WEBHOOKS: Final = "webhooks"
MAX_NAMED: Final = 5


def near_budget(catalog: Database, *, limit: int, now: datetime) -> CheckResult:
    """Name the webhooks that have stored four fifths of their daily budget, or all of it."""
    said = f"daily budget of {limit / 2**20:g} MiB"
    found = budgets.near(catalog, limit=limit, now=now)
    if not found:
        return CheckResult(WEBHOOKS, CheckStatus.OK, f"none is near its {said}")
    named = ", ".join(f"{one.label} ({one.webhook_id}): {100 * one.spent // limit} %" for one in found[:MAX_NAMED])
    more = f", and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    hint = "where it is meant to send so much, raise BOOTPRESS_WEBHOOK_DAILY_MIB; else rotate its secret"
    return CheckResult(WEBHOOKS, CheckStatus.WARN, f"near the {said}: {named}{more}", hint)
