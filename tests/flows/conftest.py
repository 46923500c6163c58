"""Flows in this process, on a real Prefect server; the registry is served over HTTP, the catalog is the flows' own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from bootpress.adapters.oci import OciRegistries
from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.launcher import PrefectLauncher
from bootpress.core.builds.callbacks import BuildAwareLauncher
from bootpress.core.context import Context
from bootpress.wiring import get_context
from tests.support.layout_server import served
from tests.support.prefect_server import PrefectServer
from tests.support.retention_harness import RetentionHarness


@dataclass
class FlowHarness:
    """An operator's side of the catalog that the flows work on, and what Prefect says of their runs.

    The operator lives in the past: what he retires is due for the flows.
    """

    yard: RetentionHarness
    repository: str
    api: PrefectApi

    def run_of(self, state: State[Any]) -> dict[str, Any]:
        """Return the flow run that ended in a state."""
        run: dict[str, Any] = self.api.get(f"/flow_runs/{state.state_details.flow_run_id}")
        return run

    def reports_of(self, state: State[Any]) -> list[str]:
        """Return the Markdown that a run left."""
        run_id = str(state.state_details.flow_run_id)
        body = {"artifacts": {"flow_run_id": {"any_": [run_id]}, "type": {"any_": ["markdown"]}}}
        return [str(one["data"]) for one in self.api.post("/artifacts/filter", body)]

    def publish(self, digest: str, *, slug: str = "edge") -> UUID:
        """Publish an image of the served registry without a flow."""
        delivery_id = self.yard.announce(slug=slug, ref=f"{self.repository}@{digest}")
        assert self.yard.process(delivery_id) == "published", self.yard.delivery(delivery_id).error_message
        publication_id = self.yard.delivery(delivery_id).publication_id
        assert publication_id is not None
        return publication_id


@pytest.fixture
def stage(prefect: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlowHarness]:
    """Make a catalog with the platform `edge`, whose images are served, and let flows of this process use it."""
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    yard = RetentionHarness(url)
    environment = {
        "BOOTPRESS_HOME": str(tmp_path),
        "BOOTPRESS_DATABASE_URL": url,
        "BOOTPRESS_ENCRYPTION_KEY": yard.keys[0],
        "PREFECT_API_URL": prefect.api_url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    api = PrefectApi(prefect.api_url)
    settings = {PREFECT_API_URL: prefect.api_url, PREFECT_LOGGING_TO_API_ENABLED: False}
    with served(yard.registry) as host, temporary_settings(settings):
        repository = f"{host}/os/images"
        yard.call("system_update_node_platform", id="edge", oci_repository=repository)
        get_context.cache_clear()
        yield FlowHarness(yard, repository, api)
        _close(get_context())
        get_context.cache_clear()
    api.close()
    yard.catalog.close()


def _close(context: Context) -> None:
    """Close what the process would have kept to its end."""
    assert isinstance(context.registries, OciRegistries)
    assert isinstance(context.launcher, BuildAwareLauncher)
    assert isinstance(context.launcher.inner, PrefectLauncher)
    context.registries.close()
    context.launcher.inner._api.close()
    context.catalog.close()
