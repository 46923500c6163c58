"""Look webhooks up so that it takes as long for one that nobody has as for one that is there.

The database answers every id with a row of one shape, a stand-in's where there is no webhook; whoever reads it does the
same with both. What it took to make an object of a row told the two apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, String, TextClause, Uuid, bindparam, text
from sqlalchemy.sql.expression import TextualSelect

from bootpress.core.database import Database, UtcDateTime
from bootpress.core.webhooks.states import WebhookStatus

NIL_WEBHOOK_ID = UUID(int=0)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_ROWS = (
    "SELECT asked.value AS asked, coalesce(webhooks.account_id, :nobody) AS account_id,"
    " coalesce(webhooks.label, 'nobody') AS label, coalesce(webhooks.status, 'unknown') AS status,"
    " coalesce(webhooks.secret, :decoy) AS secret, coalesce(webhooks.previous_secret, :decoy) AS previous_secret,"
    " coalesce(webhooks.previous_secret_until, :long_ago) AS previous_secret_until"
    " FROM {asked} LEFT JOIN webhooks ON webhooks.id = asked.value"
)


@dataclass(frozen=True, slots=True)
class WebhookCredentials:
    """What decides about a delivery; of no account and not active where there is no such webhook."""

    id: UUID
    account_id: UUID
    label: str
    is_active: bool
    secrets: tuple[bytes, bytes]
    """The present one and the one before, as they lie in the catalog; a decoy where there is none that holds."""


def load_credentials(
    catalog: Database, ids: Sequence[UUID], *, decoy: bytes, now: datetime
) -> list[WebhookCredentials]:
    """Return one for each id, in their order."""
    once = list(dict.fromkeys(ids))
    query, given = (_SQLITE, json.dumps([one.hex for one in once])) if catalog.is_sqlite else (_POSTGRESQL, once)
    values: dict[str, Any] = {"ids": given, "nobody": NIL_WEBHOOK_ID, "decoy": decoy, "long_ago": _LONG_AGO}
    with catalog.read_session() as session:
        found = {row.asked: row for row in session.execute(query, values)}
    return [_known(found[one], decoy, now) for one in ids]


def _known(row: Any, decoy: bytes, now: datetime) -> WebhookCredentials:
    return WebhookCredentials(
        id=row.asked,
        account_id=row.account_id,
        label=row.label,
        is_active=row.status == WebhookStatus.ACTIVE,
        secrets=(row.secret, row.previous_secret if row.previous_secret_until > now else decoy),
    )


def _query(asked: str) -> TextualSelect:
    clause: TextClause = text(_ROWS.format(asked=asked)).bindparams(
        bindparam("nobody", type_=Uuid()),
        bindparam("decoy", type_=LargeBinary()),
        bindparam("long_ago", type_=UtcDateTime()),
    )
    return clause.columns(
        asked=Uuid(),
        account_id=Uuid(),
        label=String(),
        status=String(),
        secret=LargeBinary(),
        previous_secret=LargeBinary(),
        previous_secret_until=UtcDateTime(),
    )


_SQLITE = _query("json_each(:ids) AS asked")
_POSTGRESQL = _query("unnest(CAST(:ids AS uuid[])) AS asked(value)")
