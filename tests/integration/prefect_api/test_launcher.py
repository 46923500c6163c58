"""The launcher on a real Prefect server: what it starts, and what becomes of it while Prefect is away."""

from __future__ import annotations

import time
import uuid

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.deployments import deploy
from bootpress.adapters.prefect_api.launcher import DEPLOYMENTS, PrefectLauncher
from bootpress.core.errors import OrchestratorUnavailable
from bootpress.core.ports import JobKind
from tests.support.ports import free_port
from tests.support.prefect_worker import PROJECT

DELIVERY, BATCH = (DEPLOYMENTS[work][0] for work in (JobKind.DELIVERY, JobKind.BATCH))

pytestmark = pytest.mark.usefixtures("project")


def test_a_delivery_becomes_a_run_that_is_given_its_id_alone(api: PrefectApi) -> None:
    delivery_id, key = uuid.uuid4(), uuid.uuid4()

    run_id = PrefectLauncher(api).launch(JobKind.DELIVERY, delivery_id, key=key, run_name="slug at 0123456")

    run = api.get(f"/flow_runs/{run_id}")
    assert run["parameters"] == {"delivery_id": str(delivery_id)}
    assert run["name"] == "slug at 0123456"
    assert run["idempotency_key"] == str(key)
    assert run["deployment_id"] == api.get(f"/deployments/name/{DELIVERY}")["id"]
    assert run["state"]["type"] == "SCHEDULED"


def test_a_batch_becomes_a_run_whose_key_is_the_batch(api: PrefectApi) -> None:
    batch_id = uuid.uuid4()

    run_id = PrefectLauncher(api).launch(JobKind.BATCH, batch_id, key=batch_id, run_name="50 deliveries")

    run = api.get(f"/flow_runs/{run_id}")
    assert run["parameters"] == {"batch_id": str(batch_id)}
    assert run["idempotency_key"] == str(batch_id)
    assert run["deployment_id"] == api.get(f"/deployments/name/{BATCH}")["id"]


def test_the_same_key_is_the_same_run_and_another_key_another(api: PrefectApi) -> None:
    delivery_id, key = uuid.uuid4(), uuid.uuid4()
    launcher = PrefectLauncher(api)

    first = launcher.launch(JobKind.DELIVERY, delivery_id, key=key, run_name="first")

    assert PrefectLauncher(api).launch(JobKind.DELIVERY, delivery_id, key=key, run_name="again") == first
    assert launcher.launch(JobKind.DELIVERY, delivery_id, key=uuid.uuid4(), run_name="anew") != first


def test_a_deployment_that_was_made_anew_is_found_again(api: PrefectApi) -> None:
    launcher = PrefectLauncher(api)
    launcher.launch(JobKind.BATCH, uuid.uuid4(), key=uuid.uuid4(), run_name="before")
    old = api.get(f"/deployments/name/{BATCH}")["id"]
    api.delete(f"/deployments/{old}")
    deploy(PROJECT, api)

    run_id = launcher.launch(JobKind.BATCH, uuid.uuid4(), key=uuid.uuid4(), run_name="after")

    assert api.get(f"/flow_runs/{run_id}")["deployment_id"] == api.get(f"/deployments/name/{BATCH}")["id"] != old


def test_a_missing_deployment_is_named_with_what_to_do(api: PrefectApi) -> None:
    api.delete(f"/deployments/{api.get(f'/deployments/name/{BATCH}')['id']}")

    with pytest.raises(OrchestratorUnavailable, match=r"no deployment ingest-backlog/relay \(apply prefect.yaml"):
        PrefectLauncher(api).launch(JobKind.BATCH, uuid.uuid4(), key=uuid.uuid4(), run_name="nowhere")

    deploy(PROJECT, api)


def test_a_server_that_is_away_is_noticed_at_once() -> None:
    away = PrefectApi(f"http://127.0.0.1:{free_port()}/api")
    began = time.monotonic()

    with pytest.raises(OrchestratorUnavailable, match="cannot be reached"):
        PrefectLauncher(away).launch(JobKind.DELIVERY, uuid.uuid4(), key=uuid.uuid4(), run_name="never")

    assert time.monotonic() - began < 1
