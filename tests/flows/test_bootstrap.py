"""The bootstrap flow on a real Prefect server: a run with nothing to do, and one that fails. The rest: tests/e2e."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from bootpress.core.sagas.models import Saga
from bootpress.core.sagas.states import SagaKind
from bootpress.wiring import get_context
from flows.bootstrap import bootstrap
from tests.flows.conftest import FlowHarness


def enter(stage: FlowHarness, status: str) -> UUID:
    """Add a saga without the findings that its first step reads."""
    context = get_context()
    now = context.clock.now()
    with context.catalog.transaction() as session:
        row = Saga(
            id=uuid4(),
            account_id=stage.yard.account_id,
            kind=SagaKind.BOOTSTRAP,
            actor="test",
            request={},
            resource_keys=[],
            status=status,
            lease_expires_at=now + timedelta(seconds=30),
            step_results={},
            created_at=now,
        )
        session.add(row)
        return row.id


def test_a_run_whose_saga_is_over_has_nothing_to_do(stage: FlowHarness) -> None:
    state = bootstrap(enter(stage, "failed"), return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Superseded")
    assert "Nothing to do" in str(state.message)


def test_a_defect_of_ours_ends_the_saga_without_its_words(stage: FlowHarness) -> None:
    saga_id = enter(stage, "queued")
    state = bootstrap(saga_id, return_state=True)
    assert state.type.value == "FAILED"
    with get_context().catalog.read_session() as session:
        row = session.get_one(Saga, saga_id)
    assert (row.status, row.encrypted_result) == ("failed", None)
    assert row.error is not None
    assert row.error["message"].startswith("something failed that should not:")
