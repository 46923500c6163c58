"""One running stack, several accounts: what one announces or calls holds up nobody else.

A server that the test controls never answers, so what waits for it waits until the test says otherwise: that others are
served meanwhile is told by the order of outcomes, not by a clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from benchmarks.pipeline import Pipeline
from tests.support.processes import wait_for
from tests.support.running_stack import FINISHED, Stack, running_stack
from tests.support.silent_server import SilentServer, silent_server

pytestmark = pytest.mark.part("docker-registry")
SILENT = 150
FAILING = 400
HANGING = 20


@dataclass(frozen=True, slots=True)
class Scene:
    """A stack of its own, for its places are filled; and an account with a pipeline that works."""

    stack: Stack
    pipeline: Pipeline

    def account(self, name: str) -> Stack:
        return self.stack.as_account(name)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("fair")
    with running_stack(folder / "home") as stack:
        pipeline = Pipeline(stack.as_account("quiet"), folder)
        yield Scene(stack, pipeline)
        pipeline.close()


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    with silent_server() as server:
        yield server


def tags(slug: str, repository: str, count: int) -> list[dict[str, str]]:
    """Return announcements of that many tags."""
    return [{"platform_slug": slug, "oci_ref": f"{repository}:v{number}"} for number in range(count)]


def unfinished(loud: Stack, ids: set[str]) -> set[str]:
    return {one["id"] for one in loud.deliveries().values() if one["id"] in ids and one["status"] not in FINISHED}


def silent_platform(loud: Stack, pipeline: Pipeline, server: SilentServer, slug: str) -> str:
    """Make a platform whose registry says nothing; return its repository."""
    repository = f"{server.address}/os/{slug}"
    loud.call("system_create_node_platform", slug=slug, arch="amd64", oci_repository=repository, trust=pipeline.trust)
    return repository


@pytest.mark.parametrize("whose", ["another account's", "another platform of the same account"])
def test_a_good_image_is_published_while_every_shared_place_waits_for_a_silent_registry(
    scene: Scene, silent: SilentServer, whose: str
) -> None:
    loud = scene.pipeline.stack if whose.endswith("same account") else scene.account("loud")
    slug = f"silent-{len(whose)}"
    repository = silent_platform(loud, scene.pipeline, silent, slug)
    webhook = loud.call("provision_disk_image_webhook", label=slug)
    ids = loud.announce_all(webhook, tags(slug, repository, SILENT))
    wait_for(lambda: silent.count > 0, what="a delivery waits for the silent registry")
    for number in range(3):
        scene.pipeline.wait(scene.pipeline.announce(scene.pipeline.push(f"{slug}-{number}")))
    assert unfinished(loud, ids) == ids


def test_a_good_image_overtakes_those_of_another_webhook_that_fail_at_once(scene: Scene) -> None:
    quiet = scene.pipeline.stack
    webhook = quiet.call("provision_disk_image_webhook", label="burst")
    reference = scene.pipeline.push("overtakes")
    ids = quiet.announce_all(webhook, tags("nobody", f"{scene.stack.registry}/os/nobody", FAILING))
    good = scene.pipeline.announce(reference)
    finished = quiet.wait_for({*ids, good}, seconds=600)
    assert {finished[one]["status"] for one in ids} == {"failed"}
    assert finished[good]["status"] == "done"
    behind = [one for one in ids if finished[one]["finished_at"] > finished[good]["finished_at"]]
    assert len(behind) > FAILING / 4


def test_a_registry_that_answers_again_is_used_again_and_was_named_meanwhile(
    scene: Scene, silent: SilentServer
) -> None:
    """A host that breaks every connection opens its breaker; its deliveries say what they wait for."""
    loud = scene.account("loud")
    repository = silent_platform(loud, scene.pipeline, silent, "broken")
    silent.hang_up()
    webhook = loud.call("provision_disk_image_webhook", label="broken")
    ids = loud.announce_all(webhook, tags("broken", repository, 6))

    def reasons() -> set[str]:
        found = loud.deliveries()
        return {str(found[one]["waiting_for"]) for one in ids}

    wait_for(lambda: any(silent.address in one for one in reasons()), what="a delivery names the host", seconds=120)
    metrics = httpx.get(
        f"{loud.endpoints['api_url']}/metrics", headers={"Authorization": f"Bearer {loud.token}"}, timeout=60
    ).text
    assert "bootpress_registry_circuit_breakers" in metrics
    assert silent.address not in metrics
    loud.call("system_update_node_platform", id="broken", oci_repository=f"{scene.stack.registry}/os/broken")
    finished = loud.wait_for(ids, seconds=300)
    assert {one["status"] for one in finished.values()} == {
        "failed"
    }  # the other registry answers: there is no such tag


def test_calls_to_a_silent_server_hold_up_no_operation_no_page_and_no_other_account(
    scene: Scene, silent: SilentServer
) -> None:
    loud, quiet = scene.account("loud"), scene.pipeline.stack
    with ThreadPoolExecutor(HANGING + 1) as pool:
        calls = [pool.submit(connect, loud, f"silent-{number}", silent.address) for number in range(HANGING)]
        wait_for(lambda: silent.count > 0, what="a call waits for the silent server")
        assert loud.call("system_list_node_platforms")["node_platforms"]
        assert httpx.get(f"{loud.endpoints['api_url']}/app/login", timeout=60).status_code == 200
        reached = silent.count
        others = pool.submit(connect, quiet, "mine", silent.address)
        wait_for(lambda: silent.count > reached, what="the other account's call reaches the server")
        silent.hang_up()
        statuses = {call.result() for call in [*calls, others]}
    assert statuses == {429, 503}


def connect(stack: Stack, name: str, host: str) -> int:
    """Connect a registry; return how that was answered."""
    fields = {"name": name, "host": host, "plain_http": True}
    url = f"{stack.endpoints['api_url']}/api/v1/operations/system_connect_registry"
    return httpx.post(url, json=fields, headers={"Authorization": f"Bearer {stack.token}"}, timeout=120).status_code
