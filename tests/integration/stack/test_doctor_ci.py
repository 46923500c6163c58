"""What `bootpress doctor` says of forges and of the runners that we run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bootpress.core.breakers import service as breakers
from bootpress.core.errors import ForgeUnavailable
from bootpress.stack import doctor_ci
from bootpress.stack.check_result import CheckResult, CheckStatus
from tests.support.core_harness import CoreHarness
from tests.support.runner_harness import RunnerHarness


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[RunnerHarness]:
    world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield RunnerHarness(world)
    world.catalog.close()


def forges(yard: RunnerHarness) -> list[CheckResult]:
    world = yard.world
    return list(doctor_ci.forges(world.catalog, world.connections, lambda: world.forges))


def runners(yard: RunnerHarness) -> list[CheckResult]:
    return list(doctor_ci.runner_hosts(yard.world.catalog, yard.world.runner_hosts))


def test_a_registry_host_that_fails_is_a_line_with_its_state_and_reason(yard: RunnerHarness) -> None:
    world = yard.world
    assert [*doctor_ci.registries(world.catalog, world.clock.now())] == []
    for _ in range(3):
        breakers.note_failure(world.context, world.account_id, "registry.example:5000", "timed out")
    [found] = doctor_ci.registries(world.catalog, world.clock.now())
    assert (found.name, found.health) == ("registry host", CheckStatus.WARN)
    assert found.detail.startswith("open, of account acme: the registry registry.example:5000 did not answer 3 times")
    assert found.detail.endswith("the last failure: timed out")
    assert found.hint
    breakers.note_answer(world.context, world.account_id, "registry.example:5000")
    assert [*doctor_ci.registries(world.catalog, world.clock.now())] == []


def test_a_connected_forge_is_well_and_its_token_not_shown(yard: RunnerHarness) -> None:
    [found] = forges(yard)
    assert (found.name, found.health) == ("forge", CheckStatus.OK)
    assert found.detail == "default of acme: https://forge.example, fake, as keeper"


def test_where_no_forge_is_connected_that_is_said_and_none_is_opened(yard: RunnerHarness) -> None:
    yard.world.connections._forges.clear()
    [found] = doctor_ci.forges(yard.world.catalog, yard.world.connections, pytest.fail)
    assert (found.health, found.detail) == (CheckStatus.WARN, "none is connected")


def test_a_forge_that_is_away_refuses_or_has_no_actions_says_what_to_do(yard: RunnerHarness) -> None:
    yard.forge.fail_at, yard.forge.fail_with = ["check"], ForgeUnavailable("no answer", hint="wait")
    assert forges(yard) == [CheckResult("forge", CheckStatus.FAIL, "no answer", "wait")]
    yard.forge.info = replace(yard.forge.info, missing_scopes=("unknown", "write:repository"))
    [found] = forges(yard)
    assert (found.health, "lacks write:repository" in found.detail) == (CheckStatus.FAIL, True)
    yard.forge.info = replace(yard.forge.info, missing_scopes=("unknown",), actions_enabled=False)
    [found] = forges(yard)
    assert (found.health, "Actions switched off" in found.detail) == (CheckStatus.FAIL, True)


def test_connections_that_cannot_be_read_are_one_line(yard: RunnerHarness) -> None:
    with yard.world.connections.switched_off():
        [found] = forges(yard)
    assert (found.name, found.health) == ("forge", CheckStatus.FAIL)


def test_a_docker_host_is_looked_at_only_where_a_runner_of_ours_runs(yard: RunnerHarness) -> None:
    yard.call()
    yard.host.away = True
    assert runners(yard) == []
    yard.host.away = False
    yard.provision()
    [found] = runners(yard)
    assert (found.name, found.health) == ("runners", CheckStatus.OK)
    assert found.detail == "1 on the Docker host of this installation, Docker fake"
    yard.host.away = True
    assert [one.health for one in runners(yard)] == [CheckStatus.FAIL]


def test_a_runner_that_does_not_run_is_named(yard: RunnerHarness) -> None:
    yard.call()
    yard.provision()
    yard.host.containers.clear()
    [found] = runners(yard)
    assert (found.health, found.detail.rpartition("; ")[2]) == (CheckStatus.FAIL, "not running: edge-builder")
    assert "system_provision_ci_worker" in str(found.hint)
