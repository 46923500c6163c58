"""No transaction grows with the data: every bulk change, on more rows than one transaction may have, counted.

A new bulk change is one more function of `BULK`: it prepares rows, and returns what changes them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from bootpress.core.accounts import idempotency
from bootpress.core.accounts.models import IdempotencyRecord
from bootpress.core.breakers import service as breakers
from bootpress.core.breakers.models import CircuitBreaker
from bootpress.core.builds import reconciler
from bootpress.core.builds import service as builds
from bootpress.core.builds.models import Build, KnownRun
from bootpress.core.database import Database
from bootpress.core.deliveries import attempts, leases, orchestrator_outage
from bootpress.core.deliveries.models import Delivery
from bootpress.core.deliveries.rules import GIVE_UP_AFTER
from bootpress.core.errors import ForgeUnavailable, OrchestratorUnavailable
from bootpress.core.events import service as events
from bootpress.core.operation_registry import OPERATIONS
from bootpress.core.pieces import ROWS
from bootpress.core.ports import ForgeConnection, ForgeKind, GitRepository
from bootpress.core.pruning import service as pruning
from bootpress.core.publications.models import Publication
from bootpress.core.retention import steps
from bootpress.core.retention.deletion_plan import PlannedDeletion
from bootpress.core.retention.purge import purge
from bootpress.core.retention.reports import MAX_LISTED
from bootpress.core.retention.service import RETIRED_AT_ONCE, retire
from bootpress.core.retention.sweep import sweep_platform
from bootpress.core.sagas import store
from bootpress.core.sagas.models import Saga
from tests.support.core_harness import HOST, REPOSITORY
from tests.support.fakes import FixedClock
from tests.support.retention_harness import RetentionHarness
from tests.support.transactions import counted

MANY = 2 * ROWS + 7
Prepare = Callable[[RetentionHarness], Callable[[], object]]


def many_publications(yard: RetentionHarness, count: int, **fields: object) -> list[UUID]:
    """Store copies of a publication, a minute apart and each of another digest; return them, the newest first."""
    first = yard.publish()
    with yard.catalog.transaction() as session:
        row = session.execute(select(Publication.__table__).where(Publication.id == first)).mappings().one()
        at = yard.clock.now()
        rows = [
            {
                **row,
                "id": uuid4(),
                "oci_digest": f"sha256:{number:064x}",
                "published_at": at - timedelta(minutes=number + 1),
                **fields,
            }
            for number in range(count)
        ]
        session.execute(insert(Publication), rows)
    return [one["id"] for one in rows]


def retiring(yard: RetentionHarness) -> Callable[[], object]:
    many_publications(yard, MANY)
    return lambda: retire(yard.context, yard.edge, actor="test")


def writing_a_plan(yard: RetentionHarness) -> Callable[[], object]:
    first = yard.due(yard.images.image())
    planned = [PlannedDeletion(f"sha256:{number:064x}", "referrer", "sha256:00") for number in range(MANY)]
    return lambda: steps.write(yard.context, first, planned)


def purging(yard: RetentionHarness) -> Callable[[], object]:
    digest = yard.images.image()
    first = yard.due(digest)
    planned = [PlannedDeletion(f"sha256:{number:064x}", "referrer", f"sha256:{number:064x}") for number in range(MANY)]
    steps.write(yard.context, first, [PlannedDeletion(digest, "subject", digest), *planned])
    return lambda: purge(yard.context, first, actor="test")


def recording_artifacts(yard: RetentionHarness) -> Callable[[], object]:
    layers = [yard.images.blob(b"layer %d" % number, "application/x") for number in range(MANY)]
    digest = yard.images.image(layers=layers)
    return lambda: yard.publish(digest=digest)


def forgetting_answers_of_idempotent_calls(yard: RetentionHarness) -> Callable[[], object]:
    row = {"account_id": yard.account_id, "operation": "x", "request_hmac": b"", "created_at": yard.clock.now()}
    with yard.catalog.transaction() as session:
        session.execute(insert(IdempotencyRecord), [{"id": uuid4(), "key": str(n), **row} for n in range(MANY)])
    yard.clock.advance(hours=25)
    operation = OPERATIONS["system_set_disk_image_retention"]
    fields = {"node_platform_id": "edge", "retention_count": 2}
    return lambda: idempotency.call_once(yard.context, yard.caller, operation, fields, "key")


def a_saga(yard: RetentionHarness, **fields: object) -> dict[str, object]:
    now = yard.clock.now()
    return {
        "id": uuid4(),
        "account_id": yard.account_id,
        "kind": "bootstrap",
        "actor": "test",
        "request": {},
        "resource_keys": [],
        "status": "done",
        "lease_expires_at": now,
        "step_results": {},
        "created_at": now,
        "finished_at": now,
        **fields,
    }


def forgetting_old_sagas(yard: RetentionHarness) -> Callable[[], object]:
    with yard.catalog.transaction() as session:
        session.execute(insert(Saga), [a_saga(yard) for _ in range(MANY)])
    yard.clock.advance(days=400)
    return lambda: store.delete_old_sagas(yard.context)


def forgetting_answers_of_sagas(yard: RetentionHarness) -> Callable[[], object]:
    with yard.catalog.transaction() as session:
        rows = [a_saga(yard, encrypted_result=b"x", result_expires_at=yard.clock.now()) for _ in range(MANY)]
        session.execute(insert(Saga), rows)
    return lambda: store.delete_expired_answers(yard.context)


def remembering_listed_runs(yard: RetentionHarness) -> Callable[[], object]:
    row = {"account_id": yard.account_id, "forge_name": "f", "repo": "a/b", "listed_at": yard.clock.now()}
    with yard.catalog.transaction() as session:
        session.execute(insert(KnownRun), [{"id": uuid4(), "run_id": str(n), **row} for n in range(MANY)])
    yard.clock.advance(days=400)
    return lambda: builds._remember(yard.context, yard.account_id, "f", GitRepository.parse("a/b"), ["1"])


class AwayForge:
    """A forge that says of no run how it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_run(self, _repository: GitRepository, _run_id: str) -> None:
        raise ForgeUnavailable(f"{self._name} does not answer")


def open_away(connection: ForgeConnection) -> Any:
    return AwayForge(connection.name)


def putting_builds_back(yard: RetentionHarness) -> Callable[[], object]:
    now = yard.clock.now()
    row = {
        "account_id": yard.account_id,
        "actor": "test",
        "forge_name": "gone",
        "repo": "a/b",
        "workflow": "w",
        "ref": "main",
        "status": "dispatched",
        "run_id": "1",
        "flow_run_id": uuid4(),
        "created_at": now,
        "deadline_at": now + timedelta(hours=2),
    }
    with yard.catalog.transaction() as session:
        session.execute(insert(Build), [{"id": uuid4(), "dispatch_id": str(n), **row} for n in range(MANY)])
    yard.connections.save_forge(yard.account_id, ForgeConnection("gone", ForgeKind.GITEA, "https://f", "t"))
    yard.forges.open = open_away  # type: ignore[method-assign]  # a forge that is unavailable
    yard.clock.advance(minutes=5)
    return lambda: reconciler.reconcile_builds(yard.context)


def starting_anew(yard: RetentionHarness) -> Callable[[], object]:
    for number in range(MANY):
        yard.announce(ref=f"{REPOSITORY}:v{number}")
    return lambda: leases.shorten_leases_after_restart(yard.context)


def giving_up_deliveries(yard: RetentionHarness) -> Callable[[], object]:
    for number in range(ROWS // 3):
        yard.announce(ref=f"{REPOSITORY}:v{number}")
    yard.clock.advance(seconds=GIVE_UP_AFTER.total_seconds() + 1)
    moments = iter([0.0, GIVE_UP_AFTER.total_seconds()])
    outage = orchestrator_outage.OutageTimer(yard.context, monotonic=lambda: next(moments))
    outage.record_failure(OrchestratorUnavailable("away"))
    return lambda: outage.record_failure(OrchestratorUnavailable("away"))


def giving_up_deliveries_at_a_host(yard: RetentionHarness) -> Callable[[], object]:
    for number in range(ROWS // 3):
        yard.announce(ref=f"{REPOSITORY}:v{number}")
    for _ in range(25):
        breakers.note_failure(yard.context, yard.account_id, HOST, "timed out")
        yard.clock.advance(hours=1)
    return lambda: orchestrator_outage.give_up_at_hosts(yard.context)


def forgetting_circuit_breakers(yard: RetentionHarness) -> Callable[[], object]:
    now = yard.clock.now()
    row = {"account_id": yard.account_id, "failures": 1, "openings": 0, "reason": "", "failing_since": now}
    with yard.catalog.transaction() as session:
        rows = [{"id": uuid4(), "host": f"h{n}.example", "failed_at": now, **row} for n in range(MANY)]
        session.execute(insert(CircuitBreaker), rows)
    yard.clock.advance(hours=25)
    return lambda: breakers.forget_old(yard.context)


def launching_batches_anew(yard: RetentionHarness) -> Callable[[], object]:
    for number in range(MANY):
        yard.announce(ref=f"{REPOSITORY}:v{number}")
    attempts.launch_due(yard.context)
    yard.clock.advance(hours=1)
    return lambda: attempts.launch_due(yard.context)


def pruning_deliveries_and_events(yard: RetentionHarness) -> Callable[[], object]:
    first = yard.announce(slug="nobody")
    assert yard.process(first) == "failed"
    with yard.catalog.transaction() as session:
        row = session.execute(select(Delivery.__table__).where(Delivery.id == first)).mappings().one()
        session.execute(insert(Delivery), [{**row, "id": uuid4()} for _ in range(MANY)])
    yard.clock.advance(days=200)
    return lambda: pruning.prune(yard.context, pause=lambda _: None)


def handing_over_events(yard: RetentionHarness) -> Callable[[], object]:
    many_publications(yard, ROWS)
    retire(yard.context, yard.edge, actor="test")

    def emit_all() -> None:
        while events.emit_pending(yard.context):
            pass

    return emit_all


BULK: tuple[Prepare, ...] = (
    retiring,
    writing_a_plan,
    purging,
    recording_artifacts,
    forgetting_answers_of_idempotent_calls,
    forgetting_old_sagas,
    forgetting_answers_of_sagas,
    remembering_listed_runs,
    putting_builds_back,
    starting_anew,
    giving_up_deliveries,
    giving_up_deliveries_at_a_host,
    forgetting_circuit_breakers,
    launching_batches_anew,
    pruning_deliveries_and_events,
    handing_over_events,
)


@pytest.mark.parametrize("prepare", BULK, ids=lambda prepare: prepare.__name__)
def test_no_transaction_grows_with_the_data(yard: RetentionHarness, prepare: Prepare) -> None:
    change = prepare(yard)
    with counted(yard.catalog) as found:
        change()
    assert sum(found.rows) > ROWS
    assert found.most <= ROWS


class DyingClock(FixedClock):
    """A clock whose caller dies when it asks once too often."""

    def __init__(self, start: datetime, *, left: int) -> None:
        super().__init__(start)
        self.left = left

    def now(self) -> datetime:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().now()


def status_of(yard: RetentionHarness, ids: Sequence[UUID]) -> list[str]:
    with yard.catalog.read_session() as session:
        found = {row[0]: row[1] for row in session.execute(select(Publication.id, Publication.status))}
    return [found[one] for one in ids]


def test_a_sweep_that_is_killed_between_two_pieces_goes_on_at_the_next(yard: RetentionHarness) -> None:
    ids = many_publications(yard, 3 * RETIRED_AT_ONCE)
    dying = replace(yard.context, clock=DyingClock(yard.clock.now(), left=1))
    with pytest.raises(KeyboardInterrupt):
        retire(dying, yard.edge, actor="dead")
    assert status_of(yard, ids) == ["retired"] * RETIRED_AT_ONCE + ["published"] * 2 * RETIRED_AT_ONCE
    retired, _ = retire(yard.context, yard.edge, actor="test")
    assert retired == ids[RETIRED_AT_ONCE:]
    assert len(yard.events("retired")) == len(ids)


class Interrupted(Database):
    """A catalog with which something happens elsewhere before it is read for the second time."""

    def __init__(self, yard: RetentionHarness, happens: Callable[[], object]) -> None:
        super().__init__(yard.catalog.url.render_as_string(hide_password=False))
        self._left = [lambda: None, happens]

    @contextmanager
    def read_session(self) -> Iterator[Session]:
        if self._left:
            self._left.pop(0)()
        with super().read_session() as session:
            yield session


def test_what_is_wanted_again_between_two_pieces_is_not_retired(yard: RetentionHarness) -> None:
    ids = many_publications(yard, 3 * RETIRED_AT_ONCE)
    newest_left, pinned, default = ids[RETIRED_AT_ONCE], ids[-1], ids[-2]

    def want() -> None:
        yard.call("system_pin_disk_image_publication", publication_id=str(pinned))
        yard.make_default(default)
        yard.call("system_set_disk_image_retention", node_platform_id="edge", retention_count=2)

    catalog = Interrupted(yard, want)
    retired, _ = retire(replace(yard.context, catalog=catalog), yard.edge, actor="test")
    catalog.close()
    # The first publication was the default before; it is among the two newest that are kept now.
    assert retired == [one for one in ids if one not in {newest_left, pinned, default}]
    assert status_of(yard, [newest_left, pinned, default]) == ["published"] * 3


def test_a_report_of_many_is_bounded_and_counts_all(yard: RetentionHarness) -> None:
    many_publications(yard, MAX_LISTED + 3)
    report = sweep_platform(yard.context, yard.edge, actor="test")
    assert (len(report.retired), report.count("retired")) == (MAX_LISTED, MAX_LISTED + 3)


def test_an_answer_of_many_is_bounded_and_says_how_many_more_there_are(yard: RetentionHarness) -> None:
    ids = many_publications(yard, MAX_LISTED + 3)
    preview = yard.call("system_preview_disk_image_retention", node_platform_id="edge")
    assert preview["retire"] == [str(one) for one in ids[:MAX_LISTED]]
    assert preview["unlisted"] == {"retire": 3}
    answer = yard.sweep()
    assert answer["retired"] == preview["retire"]
    assert answer["unlisted"] == {"retired": 3}
