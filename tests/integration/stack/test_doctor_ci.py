"""What `bootpress doctor` says of forges and of the runners that we run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bootpress.core.breakers import service as breakers
from bootpress.core.errors import ForgeUnavailable
from bootpress.stack import doctor_ci
from bootpress.stack.findings import Finding, Health
from tests.support.core_world import World
from tests.support.provisions import Dockyard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Dockyard]:
    world = World(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield Dockyard(world)
    world.catalog.close()


def forges(yard: Dockyard) -> list[Finding]:
    world = yard.world
    return list(doctor_ci.forges(world.catalog, world.connections, lambda: world.forges))


def runners(yard: Dockyard) -> list[Finding]:
    return list(doctor_ci.runner_hosts(yard.world.catalog, yard.world.runner_hosts))


def test_a_registry_host_that_fails_is_a_line_with_its_state_and_reason(yard: Dockyard) -> None:
    world = yard.world
    assert [*doctor_ci.registries(world.catalog, world.clock.now())] == []
    for _ in range(3):
        breakers.note_failure(world.context, world.account_id, "registry.example:5000", "timed out")
    [found] = doctor_ci.registries(world.catalog, world.clock.now())
    assert (found.name, found.health) == ("registry host", Health.WARN)
    assert found.detail.startswith("open, of account acme: the registry registry.example:5000 did not answer 3 times")
    assert found.detail.endswith("the last failure: timed out")
    assert found.hint
    breakers.note_answer(world.context, world.account_id, "registry.example:5000")
    assert [*doctor_ci.registries(world.catalog, world.clock.now())] == []


def test_a_connected_forge_is_well_and_its_token_not_shown(yard: Dockyard) -> None:
    [found] = forges(yard)
    assert (found.name, found.health) == ("forge", Health.OK)
    assert found.detail == "default of acme: https://forge.example, fake, as keeper"


def test_where_no_forge_is_connected_that_is_said_and_none_is_opened(yard: Dockyard) -> None:
    yard.world.connections._forges.clear()
    [found] = doctor_ci.forges(yard.world.catalog, yard.world.connections, pytest.fail)
    assert (found.health, found.detail) == (Health.WARN, "none is connected")


def test_a_forge_that_is_away_refuses_or_has_no_actions_says_what_to_do(yard: Dockyard) -> None:
    yard.forge.fail_at, yard.forge.fail_with = ["check"], ForgeUnavailable("no answer", hint="wait")
    assert forges(yard) == [Finding("forge", Health.FAIL, "no answer", "wait")]
    yard.forge.info = replace(yard.forge.info, missing_scopes=("unknown", "write:repository"))
    [found] = forges(yard)
    assert (found.health, "lacks write:repository" in found.detail) == (Health.FAIL, True)
    yard.forge.info = replace(yard.forge.info, missing_scopes=("unknown",), actions_enabled=False)
    [found] = forges(yard)
    assert (found.health, "Actions switched off" in found.detail) == (Health.FAIL, True)


def test_connections_that_cannot_be_read_are_one_line(yard: Dockyard) -> None:
    with yard.world.connections.switched_off():
        [found] = forges(yard)
    assert (found.name, found.health) == ("forge", Health.FAIL)


def test_a_docker_host_is_looked_at_only_where_a_runner_of_ours_runs(yard: Dockyard) -> None:
    yard.call()
    yard.host.away = True
    assert runners(yard) == []
    yard.host.away = False
    yard.provision()
    [found] = runners(yard)
    assert (found.name, found.health) == ("runners", Health.OK)
    assert found.detail == "1 on the Docker host of this installation, Docker fake"
    yard.host.away = True
    assert [one.health for one in runners(yard)] == [Health.FAIL]


def test_a_runner_that_does_not_run_is_named(yard: Dockyard) -> None:
    yard.call()
    yard.provision()
    yard.host.containers.clear()
    [found] = runners(yard)
    assert (found.health, found.detail.rpartition("; ")[2]) == (Health.FAIL, "not running: edge-builder")
    assert "system_provision_ci_worker" in str(found.hint)
