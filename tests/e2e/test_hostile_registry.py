"""A hostile registry against the running stack: what Prefect tries again, and what it does not.

The whole table is in tests/adversarial; here are those whose count of tries is Prefect's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi
from tests.adversarial.hostile.answers import altered
from tests.adversarial.hostile.case import TRIES, Mischief, changed, once
from tests.adversarial.hostile.tokens import expiring
from tests.support.fakes import eventually
from tests.support.hostile_registry import answer, hostile_registry
from tests.support.running_stack import Stack
from tests.support.served_images import BASIC, SECRET, USER, ServedImage

pytestmark = pytest.mark.part("docker-registry")
TASKS = ("begin", "resolve", "read manifest", "verify signature", "verify blobs", "publish")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A misbehaviour, and how often each task ran for it."""

    mischief: Mischief
    status: str
    runs: dict[str, int]


CASES = {
    "honest": Case(mischief=lambda _: None, status="done", runs=dict.fromkeys(TASKS, 1)),
    "unwell-then-well": Case(
        mischief=once("manifest", *[answer(503)] * TRIES),  # as often as one run of the task asks by itself
        status="done",
        runs=dict.fromkeys(TASKS, 1) | {"read manifest": 2},
    ),
    "expired-in-a-blob": Case(
        # The next token is no good yet, as with clocks that differ; the one after it is.
        mischief=expiring(answer(200, {"token": "early"}), answer(200, {"token": "second"})),
        status="done",
        runs=dict.fromkeys(TASKS, 1) | {"verify blobs": 2},
    ),
    "wrong-digest": Case(
        mischief=changed("kernel", lambda content: answer(200, altered(content))),
        status="failed",
        runs=dict.fromkeys(TASKS[:-1], 1),
    ),
}


@dataclass(frozen=True)
class Ended:
    """A case whose delivery is finished."""

    delivery: dict[str, Any]
    served: ServedImage


@pytest.fixture(scope="module")
def ended(stack: Stack) -> Iterator[dict[str, Ended]]:
    """Announce one image of each registry, all at once, and wait until every delivery is finished."""
    with ExitStack() as servers:
        images = {name: ServedImage(*(servers.enter_context(hostile_registry()) for _ in range(2))) for name in CASES}
        webhook = stack.call("provision_disk_image_webhook", label="hostile")
        announced = {name: announce(stack, webhook, name, image) for name, image in images.items()}
        finished = stack.wait_for(set(announced.values()), seconds=120)
        yield {name: Ended(finished[announced[name]], images[name]) for name in CASES}


def announce(stack: Stack, webhook: dict[str, Any], name: str, served: ServedImage) -> str:
    stack.call("system_connect_registry", name=name, host=served.host, username=USER, token=SECRET)
    stack.call(
        "system_create_node_platform",
        slug=name,
        arch="amd64",
        oci_repository=served.repository,
        trust=served.images.trust,
        registry=name,
    )
    CASES[name].mischief(served)
    answered = stack.announce(webhook, platform_slug=name, oci_ref=f"{served.repository}:v1")
    assert answered.status_code == 202, answered.text
    return str(answered.json()["delivery_id"])


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[PrefectApi]:
    client = PrefectApi(stack.prefect_api, auth_string=stack.prefect_auth_string)
    yield client
    client.close()


def runs_of_tasks(api: PrefectApi, platform: str) -> dict[str, int]:
    """Return how often each task ran in the one flow run for a platform, as Prefect counts it."""
    [flow_run] = api.post("/flow_runs/filter", {"flow_runs": {"name": {"any_": [f"{platform} @ images:v1"]}}})
    of_run = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    found = {task["name"].rpartition("-")[0]: task["run_count"] for task in api.post("/task_runs/filter", of_run)}
    return {name: count for name, count in found.items() if name in TASKS}


@pytest.mark.parametrize("name", CASES)
def test_prefect_tries_again_what_may_pass_and_nothing_else(
    name: str, stack: Stack, ended: dict[str, Ended], api: PrefectApi
) -> None:
    case, delivery = CASES[name], ended[name].delivery
    assert (delivery["status"], delivery["attempt_count"]) == (case.status, 1)
    publication = stack.call("system_get_disk_image_publication", id=delivery["publication_id"])["publication"]
    assert publication["status"] == ("published" if case.status == "done" else "failed")
    assert publication["oci_digest"] == ended[name].served.digest
    # What a task counted reaches Prefect's tables a moment after its run has ended.
    assert eventually(lambda: runs_of_tasks(api, name) == case.runs), runs_of_tasks(api, name)


def test_what_failed_for_good_was_read_once(ended: dict[str, Ended]) -> None:
    served = ended["wrong-digest"].served
    assert len(served.home.asked(served.path("kernel"))) == 1
    assert "other bytes" in ended["wrong-digest"].delivery["error_message"]


def test_a_blob_under_a_token_that_expired_is_read_anew_by_the_next_run(ended: dict[str, Ended]) -> None:
    served = ended["expired-in-a-blob"].served
    asked = [(request.headers["Range"], request.authorization) for request in served.home.asked(served.path("kernel"))]
    assert asked == [
        (None, "Bearer first"),
        ("bytes=200000-", "Bearer first"),
        ("bytes=200000-", "Bearer early"),
        # The next run looks at the manifest first, and finds there that the token is no good.
        (None, "Bearer second"),
    ]


def test_no_credential_went_elsewhere(ended: dict[str, Ended]) -> None:
    assert [request for one in ended.values() for request in one.served.elsewhere.requests] == []
    assert BASIC in {request.authorization for request in ended["honest"].served.home.requests}
