"""What lay in the database of the version before: publications are numbered, keys written in one spelling."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy import Connection

from bootpress import schema
from bootpress.adapters.cosign.signing import SigningKey
from bootpress.core.database import Database
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.publications import rules
from bootpress.core.publications.models import Publication
from bootpress.core.sagas.models import Saga

AT = datetime(2025, 6, 1, 12, tzinfo=UTC)
REPOSITORY = "registry.example/os/images"
PEM = SigningKey.create().public_pem
PADDED = {"mode": "keys", "public_keys": ["\n" * 3000 + PEM.replace("\n", "\r\n"), PEM]}
KEYLESS = {
    "mode": "keyless",
    "cosign_identity_regexp": "a",
    "cosign_issuer_regexp": "b",
    "trusted_root": "public-good",
}


class Before:
    """A database of the version before, and rows to put into it."""

    def __init__(self, catalog: Database, connection: Connection) -> None:
        self._connection, self._is_sqlite = connection, catalog.is_sqlite
        self._tables = sa.MetaData()
        self._tables.reflect(connection)
        self.account = self.add("accounts", name="acme", created_at=AT)

    def add(self, table: str, **values: Any) -> UUID:
        row_id = uuid4()
        kept = {name: self._kept(value) for name, value in {"id": row_id, **values}.items()}
        self._connection.execute(self._tables.tables[table].insert().values(**kept))
        return row_id

    def _kept(self, value: Any) -> Any:
        if self._is_sqlite and isinstance(value, UUID):
            return value.hex
        return value.replace(tzinfo=None) if self._is_sqlite and isinstance(value, datetime) else value

    def platform(self, slug: str, trust: dict[str, Any]) -> UUID:
        fields = {"retention_count": 3, "build_timeout_minutes": 120, "boot_check": "off"}
        place = {"account_id": self.account, "slug": slug, "name": slug, "arch": "amd64", "oci_repository": REPOSITORY}
        return self.add("node_platforms", **place, **fields, trust=trust, created_at=AT, updated_at=AT)

    def publication(
        self, platform_id: UUID, trust: dict[str, Any], *, made: int, published: int | None, status: str = "published"
    ) -> UUID:
        """Add a publication that was made and published so many minutes later, and the attempt that did it."""
        terms = rules.policy_fingerprint(trust=trust, arch="amd64", repository=REPOSITORY)
        delivery_id = self.add(
            "webhook_deliveries",
            account_id=self.account, source="webhook", actor="ci", body=b"{}", body_sha256=uuid4().hex,
            platform_slug="x", oci_ref="x", status="processing", attempt_count=1, unheard_launches=0,
            postponed_count=0, received_at=AT, next_attempt_at=AT,
        )  # fmt: skip
        attempt_id = self.add(
            "attempts",
            delivery_id=delivery_id, status="ended" if published else "running", lease_until=AT, created_at=AT,
            evidence={"manifest": {"terms": "other"}, "signature": {"terms": terms}},
        )  # fmt: skip
        return self.add(
            "publications",
            account_id=self.account, node_platform_id=platform_id, repository=REPOSITORY,
            oci_digest=f"sha256:{uuid4().hex * 2}", oci_ref="x", status=status, cosign_verified=True,
            claims={}, pinned=False, attempt_count=1, current_attempt_id=attempt_id,
            created_at=AT + timedelta(minutes=made),
            published_at=None if published is None else AT + timedelta(minutes=published),
        )  # fmt: skip


def test_publications_are_numbered_and_known_by_the_trust_they_were_verified_under(database_url: str) -> None:
    catalog = Database(database_url)
    schema.migrate(catalog, to="0002")
    with catalog.schema_transaction() as connection:
        before = Before(catalog, connection)
        padded, keyless, empty = (
            before.platform("padded", PADDED), before.platform("keyless", KEYLESS), before.platform("empty", KEYLESS)
        )  # fmt: skip
        first = before.publication(padded, PADDED, made=1, published=9)
        second = before.publication(padded, PADDED, made=2, published=5)
        under_way = before.publication(padded, PADDED, made=3, published=None, status="verifying")
        other = before.publication(keyless, KEYLESS, made=0, published=1)
        strange = before.publication(keyless, PADDED, made=4, published=4)
    schema.migrate(catalog)
    with catalog.read_session() as session:
        rows = {row.id: row for row in session.scalars(sa.select(Publication))}
        platforms = {row.id: row for row in session.scalars(sa.select(NodePlatform))}
        attempt = session.get_one(Attempt, rows[under_way].current_attempt_id)
    catalog.close()
    numbers = {one: (rows[one].sequence, rows[one].published_sequence) for one in rows}
    assert numbers == {first: (1, 5), second: (2, 4), under_way: (3, None), other: (1, 3), strange: (2, 4)}
    counters = {one: platforms[one].publication_sequence for one in platforms}
    assert counters == {padded: 5, keyless: 4, empty: 0}
    trust = platforms[padded].trust
    assert trust == {"mode": "keys", "public_keys": [PEM]}
    assert rows[first].trust_sha256 == rules.fingerprint_trust(trust)
    assert rows[other].trusted_root_sha256 == rules.fingerprint_root(KEYLESS)
    assert (rows[under_way].trust_sha256, rows[strange].trust_sha256) == (None, None)
    # What is under way goes on: its evidence is that of the same keys.
    terms = rules.policy_fingerprint(trust=trust, arch="amd64", repository=REPOSITORY)
    assert attempt.evidence == {"manifest": {"terms": "other"}, "signature": {"terms": terms}}


def test_renamed_columns_keep_their_rows_and_indexes(database_url: str) -> None:
    catalog = Database(database_url)
    schema.migrate(catalog, to="0007")
    with catalog.schema_transaction() as connection:
        before = Before(catalog, connection)
        indexes = indexes_of(connection, "webhook_deliveries", "builds")
        delivery_id = before.add(
            "webhook_deliveries",
            account_id=before.account, source="webhook", actor="ci", body=b"{}", body_sha256=uuid4().hex,
            platform_slug="x", oci_ref="x", status="processing", attempt_count=1, unheard_launches=3,
            postponed_count=0, received_at=AT, next_attempt_at=AT, trying_since=AT, tried_until=AT, queue_id=uuid4(),
        )  # fmt: skip
        saga_id = before.add(
            "procedures",
            account_id=before.account, kind="bootstrap", actor="test", request={}, claims=["the label edge"],
            status="done", lease_until=AT, effects={"webhook": {"id": "1"}}, answer=b"sealed", answer_until=AT,
            created_at=AT,
        )  # fmt: skip
    schema.migrate(catalog)
    with catalog.schema_transaction() as connection:
        assert indexes_of(connection, "webhook_deliveries", "builds") == indexes
        assert indexes_of(connection, "sagas") == {("ix_sagas_account_id", ("account_id",))}
    with catalog.read_session() as session:
        delivery, saga = session.get_one(Delivery, delivery_id), session.get_one(Saga, saga_id)
    catalog.close()
    assert (delivery.unacknowledged_launches, delivery.retry_window_started_at) == (3, AT)
    assert delivery.last_attempt_ended_at == AT
    assert (saga.resource_keys, saga.step_results) == (["the label edge"], {"webhook": {"id": "1"}})
    assert (saga.encrypted_result, saga.result_expires_at, saga.lease_expires_at) == (b"sealed", AT, AT)


def indexes_of(connection: Connection, *tables: str) -> set[tuple[str | None, tuple[str | None, ...]]]:
    inspector = sa.inspect(connection)
    return {(one["name"], tuple(one["column_names"])) for table in tables for one in inspector.get_indexes(table)}
