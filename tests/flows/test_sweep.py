"""The sweep flow on a real Prefect server: what it does, what it says, and how it fails."""

from __future__ import annotations

import pytest

from bootpress.core.errors import NotFound, RegistryUnavailable
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import DeleteResult
from flows.retention import sweep
from tests.flows.conftest import FlowHarness


def due(stage: FlowHarness, slug: str = "edge") -> str:
    """Publish and retire an image; return its digest."""
    digest = stage.yard.images.image()
    stage.publish(digest, slug=slug)
    stage.yard.clock.advance(minutes=1)
    stage.yard.make_default(stage.publish(stage.yard.images.image(), slug=slug))
    stage.yard.sweep(node_platform_id=slug)
    return digest


def test_a_sweep_purges_what_is_due_and_shows_what_it_did(stage: FlowHarness) -> None:
    digest = due(stage)
    foreseen = sweep(dry_run=True, return_state=True)
    assert foreseen.name == "Completed"
    [preview] = stage.reports_of(foreseen)
    assert "What a sweep would do" in preview
    assert f"| `{stage.yard.edge}` | 0 | 1 | 1 |" in preview
    assert stage.yard.has(digest) == [True]
    done = sweep(platform="edge", return_state=True)
    assert done.name == "Completed"
    assert stage.yard.has(digest) == [False]
    [report] = stage.reports_of(done)
    assert "What the sweep did" in report
    assert f"| `{stage.yard.edge}` | 0 | 1 | 0 |" in report


def test_what_fails_on_one_platform_stops_no_other_and_fails_the_run_at_its_end(stage: FlowHarness) -> None:
    stage.yard.platform("a-broken", retention_count=1, oci_repository=stage.repository)
    broken, healthy = due(stage, "a-broken"), due(stage)
    with stage.yard.catalog.transaction() as session:
        session.query(NodePlatform).filter(NodePlatform.slug == "a-broken").one().registry_name = "gone"
    state = sweep(return_state=True)
    assert state.name == "Failed"
    with pytest.raises(RegistryUnavailable, match=r"could not be purged: .*connection 'gone' does not exist"):
        state.result()
    assert stage.yard.has(broken, healthy) == [True, False]
    [report] = stage.reports_of(state)
    assert f"| `{stage.yard.edge}` | 0 | 1 | 0 |  |" in report
    assert r"connection \'gone\' does not exist" in report


def test_what_a_registry_will_not_delete_is_said_and_fails_nothing(stage: FlowHarness) -> None:
    digest = due(stage)
    stage.yard.registry.answers["*"] = DeleteResult.REFUSED
    state = sweep(return_state=True)
    assert state.name == "Completed"
    assert stage.yard.has(digest) == [True]
    [report] = stage.reports_of(state)
    assert "the registry refuses to delete it" in report


@pytest.mark.usefixtures("stage")
def test_a_sweep_of_an_unknown_platform_fails() -> None:
    state = sweep(platform="nobody", return_state=True)
    assert state.name == "Failed"
    with pytest.raises(NotFound, match="no node platform 'nobody'"):
        state.result()
