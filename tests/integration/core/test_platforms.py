"""What a platform may name: a registry connection that fits, and nothing that would be kept but not done."""

from __future__ import annotations

from typing import Any

import pytest

from bootpress.core.errors import InvalidInput, NotFound, OrchestratorUnavailable, Unsupported
from tests.support.core_harness import HOST, REPOSITORY, CoreHarness

ELSEWHERE = "registry.example.org/os/images"


def update(world: CoreHarness, **fields: Any) -> dict[str, Any]:
    changed: dict[str, Any] = world.call("system_update_node_platform", id="edge", **fields)["node_platform"]
    return changed


def test_a_boot_check_is_refused_until_there_is_one(world: CoreHarness) -> None:
    with pytest.raises(Unsupported, match="not built yet") as caught:
        world.platform(boot_check="required")
    assert "off" in str(caught.value.hint)
    world.platform(boot_check="off")
    with pytest.raises(Unsupported):
        update(world, boot_check="required", name="other")
    stands = world.call("system_get_node_platform", id="edge")["node_platform"]
    assert (stands["boot_check"], stands["name"]) == ("off", "edge")


def test_a_registry_connection_must_be_there_before_a_platform_names_it(world: CoreHarness) -> None:
    with pytest.raises(InvalidInput, match="'main' does not exist") as caught:
        world.platform(registry="main")
    assert caught.value.field == "registry"
    assert "system_connect_registry" in str(caught.value.hint)
    world.platform()
    with pytest.raises(InvalidInput, match="'main' does not exist"):
        update(world, registry="main")
    world.call("system_connect_registry", name="main", host=HOST)
    assert update(world, registry="main")["registry"] == "main"


def test_a_registry_connection_of_another_account_is_none(world: CoreHarness) -> None:
    world.call("system_connect_registry", world.new_caller("rival"), name="main", host=HOST)
    with pytest.raises(InvalidInput, match="'main' does not exist"):
        world.platform(registry="main")


def test_a_registry_connection_must_be_for_the_host_of_the_images(world: CoreHarness) -> None:
    world.call("system_connect_registry", name="main", host=HOST)
    with pytest.raises(InvalidInput, match=f"is for {HOST}; the platform's images lie on registry.example.org"):
        world.platform(registry="main", oci_repository=ELSEWHERE)
    world.platform(registry="main")
    with pytest.raises(InvalidInput, match="images lie on registry"):
        update(world, oci_repository=ELSEWHERE)
    assert update(world, oci_repository=f"{HOST}/os/moved")["oci_repository"] == f"{HOST}/os/moved"
    moved = update(world, oci_repository=ELSEWHERE, registry=None)
    assert (moved["oci_repository"], moved["registry"]) == (ELSEWHERE, None)


def test_null_takes_a_registry_connection_away(world: CoreHarness) -> None:
    world.call("system_connect_registry", name="main", host=HOST)
    world.platform(registry="main")
    assert update(world, name="Edge")["registry"] == "main"
    assert update(world, registry=None, forge=None)["registry"] is None


def test_a_forge_that_is_not_connected_is_refused(world: CoreHarness) -> None:
    with pytest.raises(InvalidInput, match="no forge connection 'main'") as caught:
        world.platform(forge="main")
    assert caught.value.field == "forge"
    world.call("system_connect_forge", name="main", kind="local")
    world.platform(forge="main")


def test_without_its_connections_a_platform_that_names_none_is_saved(world: CoreHarness) -> None:
    with world.connections.switched_off():
        world.platform()
        assert update(world, oci_repository=REPOSITORY)["registry"] is None
        with pytest.raises(OrchestratorUnavailable):
            update(world, registry="main")


def test_an_update_of_what_is_not_there_is_not_found(world: CoreHarness) -> None:
    with pytest.raises(NotFound):
        update(world, registry="main")
    with pytest.raises(NotFound):
        update(world, name="x")
