"""What the adapter relies on in Prefect beyond its documentation; each is also tested by what it does.

A new version of Prefect that fails here needs a look at every place named, before its pin moves.
"""

from __future__ import annotations

import inspect
import re
import uuid

import prefect
import pytest
from prefect import _flow_run_suspension as suspension
from prefect.cli import _server_utils
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import Pause
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.workers.base import BaseJobConfiguration, BaseWorker

from bootpress.adapters.prefect_api.resident import ResidentConfiguration, ResidentWorker
from bootpress.adapters.prefect_api.retrying_clients import quick_sync_clients
from tests.support.scripted_server import ScriptedServer


def test_prefect_is_the_version_that_all_this_was_read_in() -> None:
    assert prefect.__version__ == "3.8.8"


@pytest.mark.parametrize(
    "name",
    [
        "setup",
        "run",
        "get_and_submit_flow_runs",
        "sync_with_backend",
        "get_default_base_job_template",
        "_submit_scheduled_flow_runs",
        "_propose_submitting_state",
        "_give_worker_labels_to_flow_run",
    ],
)
def test_what_the_worker_overrides_is_there_with_the_same_parameters(name: str) -> None:
    theirs = inspect.signature(getattr(BaseWorker, name)).parameters
    ours = inspect.signature(getattr(ResidentWorker, name)).parameters

    assert list(theirs) == list(ours)


def test_what_the_configuration_overrides_is_there_with_the_same_parameters() -> None:
    theirs = inspect.signature(BaseJobConfiguration.resolve_for_flow_run).parameters

    assert list(theirs) == list(inspect.signature(ResidentConfiguration.resolve_for_flow_run).parameters)
    assert "_related_objects" in BaseJobConfiguration.__private_attributes__


def test_what_the_worker_reads_is_there() -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):
        worker = ResidentWorker(work_pool_name="pool")

    assert {"_client", "_exit_stack", "_has_successfully_synced", "_submitting_flow_run_ids"} <= set(vars(worker))
    assert worker._limit == 16


def test_the_mark_makes_the_engine_pause_with_the_state_it_carries() -> None:
    request, run_id = suspension.FlowRunSuspensionRequest(), uuid.uuid4()
    state = State(type=StateType.CANCELLING)
    assert suspension.mark_flow_run_suspension_requested(run_id, state) is False

    with suspension.register_flow_run_suspension_request(run_id, request):
        assert suspension.mark_flow_run_suspension_requested(run_id, state) is True

    with pytest.raises(Pause) as caught:
        request.raise_if_requested()
    assert caught.value.state == state


def test_whoever_asks_for_a_client_inside_the_block_is_given_the_quick_one() -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api", "client.server_version_check_enabled": False}):
        with quick_sync_clients():
            first, second = get_client(sync_client=True), get_client(sync_client=True)
            assert first is second
            hooks = first._client.event_hooks["response"]
        assert get_client(sync_client=True) is not first
    assert [hook.__name__ for hook in hooks] == ["_come_back_soon"]


def test_prefects_client_comes_back_when_the_busy_answer_says() -> None:
    server = ScriptedServer()
    server.answers = [(503, b"")] * 7
    with (
        temporary_settings({PREFECT_API_URL: server.url, "client.server_version_check_enabled": False}),
        quick_sync_clients(),
    ):
        answer = get_client(sync_client=True)._client.get("/anything")
    server.close()

    assert answer.status_code == 200
    assert len(server.seen) == 8  # Prefect's own client gives up after six, a minute later


def test_prefects_own_command_serves_what_ours_serves_in_the_same_way() -> None:
    """Prevents a server of ours that lacks what a new version of the command gives to its own."""
    source = inspect.getsource(_server_utils._run_in_foreground)
    one_process, _, _ = source.partition("else:")
    given = set(re.findall(r"^ +(\w+)=", one_process.partition("uvicorn.run(")[2], re.MULTILINE))

    assert "app=create_app(final=True, webserver_only=no_services)" in one_process
    # app_dir finds an application by its name, which ours is not started by.
    assert given == {
        *("app", "app_dir", "host", "port", "log_level"),
        *("timeout_keep_alive", "ws_ping_interval", "ws_ping_timeout"),
    }
