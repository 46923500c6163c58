"""The order of publications, the trust each was verified under, parents of tokens, keys in one spelling."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
AT_ONCE = 500

platforms = sa.table(
    "node_platforms",
    sa.column("id", sa.Uuid()),
    sa.column("arch", sa.String()),
    sa.column("oci_repository", sa.String()),
    sa.column("trust", JSON),
)
publications = sa.table(
    "publications",
    sa.column("id", sa.Uuid()),
    sa.column("node_platform_id", sa.Uuid()),
    sa.column("status", sa.String()),
    sa.column("current_attempt_id", sa.Uuid()),
    sa.column("trust_sha256", sa.String()),
    sa.column("trusted_root_sha256", sa.String()),
)
attempts = sa.table(
    "attempts",
    sa.column("id", sa.Uuid()),
    sa.column("publication_id", sa.Uuid()),
    sa.column("status", sa.String()),
    sa.column("evidence", JSON),
)


def upgrade() -> None:
    """Go to this version."""
    with op.batch_alter_table("publications", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sequence", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("published_sequence", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("proving_attempt_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("trust_sha256", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("trusted_root_sha256", sa.String(), nullable=True))
        batch_op.drop_index("publications_by_age")
        batch_op.create_index(
            "publications_by_sequence", ["node_platform_id", "sequence", "created_at", "id"], unique=False
        )
    with op.batch_alter_table("node_platforms", schema=None) as batch_op:
        batch_op.add_column(sa.Column("publication_sequence", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(sa.Column("repository", sa.String(), nullable=True))
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ancestors", JSON, nullable=False, server_default="[]"))
    _number()
    # What was published or retired was not verified again before this version.
    op.execute(
        "UPDATE publications SET proving_attempt_id = current_attempt_id"
        " WHERE status IN ('published', 'retired', 'revoked')"
    )
    connection = op.get_bind()
    for platform in connection.execute(sa.select(platforms)).mappings().all():
        _normalise(connection, platform)


def _number() -> None:
    # First all of a platform in the order they were made, then those that were published in the order of that.
    op.execute(
        "UPDATE publications SET sequence = numbered.number FROM (SELECT id, row_number() OVER"
        " (PARTITION BY node_platform_id ORDER BY created_at, id) AS number FROM publications) AS numbered"
        " WHERE numbered.id = publications.id"
    )
    op.execute(
        "UPDATE publications SET published_sequence = numbered.number FROM (SELECT id, row_number() OVER"
        " (PARTITION BY node_platform_id ORDER BY published_at IS NULL, published_at, created_at, id)"
        " + count(*) OVER (PARTITION BY node_platform_id) AS number FROM publications) AS numbered"
        " WHERE numbered.id = publications.id AND publications.published_at IS NOT NULL"
    )
    op.execute(
        "UPDATE node_platforms SET publication_sequence = (SELECT coalesce(max(coalesce(published_sequence, sequence)),"
        " 0) FROM publications WHERE publications.node_platform_id = node_platforms.id)"
    )


def _normalise(connection: sa.Connection, platform: sa.RowMapping) -> None:
    """Write a platform's keys in one spelling; what was proven under the old spelling counts under the new one."""
    before, after = platform["trust"], _in_one_spelling(platform["trust"])
    if after != before:
        connection.execute(sa.update(platforms).where(platforms.c.id == platform["id"]).values(trust=after))
    old, new = _terms(platform, before), _terms(platform, after)
    for row in _in_portions(connection, platform["id"]):
        evidence = row["evidence"]
        if evidence.get("signature", {}).get("terms") == old and row["status"] in {"published", "retired"}:
            known = {"trust_sha256": _sha256(after), "trusted_root_sha256": _root(after)}
            connection.execute(sa.update(publications).where(publications.c.id == row["id"]).values(**known))
        if old != new and row["attempt_status"] != "ended":
            said = {
                step: {**facts, "terms": new} if facts.get("terms") == old else facts
                for step, facts in evidence.items()
            }
            connection.execute(sa.update(attempts).where(attempts.c.id == row["attempt_id"]).values(evidence=said))


def _in_portions(connection: sa.Connection, platform_id: object) -> Iterator[sa.RowMapping]:
    """Yield a platform's publications with the attempt that holds each, a few hundred at a time."""
    query = (
        sa.select(
            publications.c.id,
            publications.c.status,
            attempts.c.id.label("attempt_id"),
            attempts.c.status.label("attempt_status"),
            attempts.c.evidence,
        )
        .join(attempts, attempts.c.id == publications.c.current_attempt_id)
        .where(publications.c.node_platform_id == platform_id)
        .order_by(publications.c.id)
        .limit(AT_ONCE)
    )
    last = connection.execute(query).mappings().all()
    while last:
        yield from last
        last = connection.execute(query.where(publications.c.id > last[-1]["id"])).mappings().all()


def _in_one_spelling(trust: dict[str, Any]) -> dict[str, Any]:
    if trust.get("mode") != "keys":
        return trust
    try:
        keys = [
            load_pem_public_key(pem.strip().encode()).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            for pem in trust["public_keys"]
        ]
    except (KeyError, TypeError, ValueError, UnsupportedAlgorithm):  # it stays as it is, and verifies nothing
        return trust
    return {**trust, "public_keys": list(dict.fromkeys(key.decode() for key in keys))}


def _terms(platform: sa.RowMapping, trust: dict[str, Any]) -> str:
    return _sha256({"trust": trust, "arch": platform["arch"], "repository": platform["oci_repository"]})


def _root(trust: dict[str, Any]) -> str | None:
    return _sha256(trust["trusted_root"]) if trust.get("mode") == "keyless" else None


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
