"""Ingest flows on a real Prefect server: how a run is called, how it ends, and what it leaves."""

from __future__ import annotations

from uuid import UUID

import pytest

from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.models import Attempt
from bootpress.core.errors import SignatureRejected
from bootpress.wiring import get_context
from flows.ingest import ingest
from flows.ingest_manual import ingest_manual
from tests.flows.conftest import FlowHarness


def test_an_image_that_is_named_by_hand_is_published_under_a_name_that_a_person_finds(stage: FlowHarness) -> None:
    digest = stage.yard.images.image(tag="v1")
    state = ingest_manual(platform=str(stage.yard.edge), reference=f"{stage.repository}:v1", return_state=True)
    assert (state.name, state.result()) == ("Completed", "published")
    assert stage.run_of(state)["name"] == "edge @ images:v1"
    [publication] = stage.yard.publications()
    assert (publication.oci_digest, publication.status) == (digest, "published")
    [delivery] = stage.yard.call("system_list_disk_image_deliveries")["deliveries"]
    assert (delivery["source"], delivery["status"], delivery["platform_slug"]) == ("manual", "done", "edge")
    [report] = stage.reports_of(state)
    assert "## `edge`: published" in report
    assert f"`{digest}`" in report
    assert publication.signer is not None
    assert publication.signer["key_sha256"] in report


def test_a_run_of_a_delivery_that_is_started_by_hand_is_named_by_its_commit(stage: FlowHarness) -> None:
    digest = stage.yard.images.image()
    delivery_id = stage.yard.announce(ref=f"{stage.repository}@{digest}", git_sha="0123456789abcdef")
    state = ingest(delivery_id, return_state=True)
    assert state.result() == "published"
    assert stage.run_of(state)["name"] == "edge @ 0123456789ab"


def test_an_unknown_platform_fails_the_run_that_names_it(stage: FlowHarness) -> None:
    state = ingest_manual(platform="nobody", reference=f"{stage.repository}:v1", return_state=True)
    assert state.name == "Failed"
    assert "no node platform 'nobody'" in str(state.message)
    assert stage.run_of(state)["name"] == f"nobody @ {stage.repository}:v1"


def test_a_bad_image_fails_the_run_with_its_reason_and_leaves_a_report(stage: FlowHarness) -> None:
    digest = stage.yard.images.image(sign=False)
    reference = f"{stage.repository}@{digest}"
    state = ingest_manual(platform="edge", reference=reference, return_state=True)
    assert state.name == "Failed"
    with pytest.raises(SignatureRejected, match="carries no signature"):
        state.result()
    assert stage.run_of(state)["name"] == f"edge @ images@{digest[:19]}"
    [publication] = stage.yard.publications()
    assert publication.status == "failed"
    [report] = stage.reports_of(state)
    assert "carries no signature" in report


def test_a_run_whose_delivery_another_attempt_took_over_ends_without_a_fault(stage: FlowHarness) -> None:
    digest = stage.yard.images.image()
    delivery_id = stage.yard.announce(ref=f"{stage.repository}@{digest}")
    taken: list[UUID] = []
    stage.yard.registry.before[digest] = lambda: taken.append(take_over(delivery_id))
    state = ingest(delivery_id, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Superseded")
    assert "Another attempt holds the delivery by now" in str(state.message)
    delivery = stage.yard.delivery(delivery_id)
    assert (delivery.status, delivery.current_attempt_id) == ("processing", taken[0])
    assert stage.yard.publications()[0].status == "verifying"


def test_a_run_that_finds_its_delivery_held_has_nothing_to_do(stage: FlowHarness) -> None:
    delivery_id = stage.yard.announce(ref=f"{stage.repository}@{stage.yard.images.image()}")
    attempts.start(get_context(), delivery_id, attempt_id=None, flow_run_id=None)
    state = ingest(delivery_id, return_state=True)
    assert (state.type.value, state.name) == ("COMPLETED", "Superseded")
    assert "Nothing to do" in str(state.message)
    assert stage.yard.publications() == []


def take_over(delivery_id: UUID) -> UUID:
    """Let the lease of whoever works on a delivery run out, and take it up."""
    context = get_context()
    with context.catalog.transaction() as session:
        for attempt in session.query(Attempt).filter(Attempt.delivery_id == delivery_id):
            attempt.lease_until = attempt.created_at
    return attempts.start(context, delivery_id, attempt_id=None, flow_run_id=None)
