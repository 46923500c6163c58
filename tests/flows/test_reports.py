"""A report that Prefect does not take changes nothing about how a run ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import UUID, uuid4

import pytest

from bootpress.adapters.prefect_api.deployments import deploy
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.errors import RegistryUnavailable, SignatureRejected
from bootpress.core.platforms.models import NodePlatform
from bootpress.wiring import get_context
from flows.ingest import ingest
from flows.ingest_batch import backlog
from flows.retention import sweep
from tests.flows.conftest import FlowHarness
from tests.support.prefect_server import PrefectServer
from tests.support.prefect_worker import PROJECT


@contextmanager
def no_artifacts(prefect: PrefectServer) -> Iterator[None]:
    """Let Prefect answer 500 to every report; what it keeps of states has no key."""
    with closing(sqlite3.connect(prefect.home / "prefect" / "prefect.db", timeout=30)) as database:
        database.execute(
            "CREATE TRIGGER no_artifacts BEFORE INSERT ON artifact WHEN NEW.key IS NOT NULL"
            " BEGIN SELECT RAISE(ABORT, 'no artifacts'); END"
        )
        try:
            yield
        finally:
            database.execute("DROP TRIGGER no_artifacts")


def test_the_reports_of_a_platform_are_one_artifact_with_a_history(stage: FlowHarness) -> None:
    stage.yard.platform(slug="edge_farm.9", oci_repository=stage.repository)
    for _ in range(2):
        ingest(stage.yard.announce(slug="edge_farm.9", ref=f"{stage.repository}@{stage.yard.images.image()}"))
    kept = stage.api.post("/artifacts/filter", {"artifacts": {"key": {"any_": ["ingest-edge-farm-9"]}}})
    latest = stage.api.post("/artifacts/latest/filter", {"artifacts": {"key": {"any_": ["ingest-edge-farm-9"]}}})
    assert (len(kept), len(latest)) == (2, 1)


def test_a_published_image_is_a_completed_run_without_its_report(stage: FlowHarness, prefect: PrefectServer) -> None:
    delivery_id = stage.yard.announce(ref=f"{stage.repository}@{stage.yard.images.image()}")
    with no_artifacts(prefect):
        state = ingest(delivery_id, return_state=True)
    assert (state.name, state.result()) == ("Completed", "published")
    assert stage.reports_of(state) == []
    assert stage.yard.delivery(delivery_id).status == "done"


def test_a_rejected_image_keeps_its_reason_without_its_report(stage: FlowHarness, prefect: PrefectServer) -> None:
    delivery_id = stage.yard.announce(ref=f"{stage.repository}@{stage.yard.images.image(sign=False)}")
    with no_artifacts(prefect):
        state = ingest(delivery_id, return_state=True)
    assert state.name == "Failed"
    with pytest.raises(SignatureRejected, match="carries no signature"):
        state.result()


def test_a_batch_relays_what_waits_behind_it_without_its_report(stage: FlowHarness, prefect: PrefectServer) -> None:
    deploy(PROJECT, stage.api)
    context = get_context()
    first = stage.yard.announce(ref=f"{stage.repository}@{stage.yard.images.image()}")
    batch_id = in_a_batch(first)
    waits = stage.yard.announce(ref=f"{stage.repository}@{stage.yard.images.image()}")
    with no_artifacts(prefect):
        state = backlog(batch_id, return_state=True)
    assert (state.name, state.message) == ("Completed", "1 published")
    with context.catalog.read_session() as session:
        assert session.get_one(Delivery, waits).current_attempt_id is not None


def test_a_sweep_that_failed_says_why_without_its_report(stage: FlowHarness, prefect: PrefectServer) -> None:
    due(stage)
    connect_by_name(stage, "gone")
    with no_artifacts(prefect):
        state = sweep(return_state=True)
    assert stage.reports_of(state) == []
    with pytest.raises(RegistryUnavailable, match="connection 'gone' does not exist"):
        state.result()


def test_a_reason_that_repeats_an_outsider_makes_no_markup_in_the_report_of_a_sweep(stage: FlowHarness) -> None:
    due(stage)
    connect_by_name(stage, "![x](https://evil.example/p.png)|<b>`")
    [report] = stage.reports_of(sweep(return_state=True))
    row = report.splitlines()[-1]
    assert r"\!\[x\]\(https\:\/\/evil\.example\/p\.png\)\|\<b\>\`" in row


def due(stage: FlowHarness) -> None:
    """Publish and retire an image, so that its purge is due for the flows."""
    stage.publish(stage.yard.images.image())
    stage.yard.clock.advance(minutes=1)
    stage.yard.make_default(stage.publish(stage.yard.images.image()))
    stage.yard.sweep()


def connect_by_name(stage: FlowHarness, name: str) -> None:
    """Let the platform name a connection to its registry that is not there."""
    with stage.yard.catalog.transaction() as session:
        session.get_one(NodePlatform, stage.yard.edge).registry_name = name


def in_a_batch(delivery_id: UUID) -> UUID:
    """Hold a delivery by an attempt of a batch whose run is about to start."""
    context, batch_id = get_context(), uuid4()
    attempt_id = attempts.start(context, delivery_id, attempt_id=None, flow_run_id=None)
    with context.catalog.transaction() as session:
        session.get_one(Attempt, attempt_id).batch_id = batch_id
    return batch_id
