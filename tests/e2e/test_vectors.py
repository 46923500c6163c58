"""Every recorded signature, from a signed webhook to its publication or rejection, through the running stack."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from bootpress.adapters.oci import OciRegistries, Pusher
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.support.running_stack import Stack
from tests.support.vectors import Vector, load_vectors, push_vector

VECTORS = load_vectors()

pytestmark = pytest.mark.part("docker-registry")


@pytest.fixture(scope="module")
def deliveries(stack: Stack) -> dict[str, dict[str, object]]:
    """Push and announce all vectors, and wait until each is finished; by name."""
    webhook = stack.call("provision_disk_image_webhook", label="vectors")
    announced: dict[str, str] = {}
    with closing(OciRegistries()) as registries:
        pusher = registries.open_pusher(RegistryConnection("local", stack.registry))
        for name, vector in VECTORS.items():
            announced[name] = _announce(stack, webhook, pusher, name, vector)
    finished = stack.wait_for(set(announced.values()), seconds=120)
    return {name: finished[delivery_id] for name, delivery_id in announced.items()}


def _announce(stack: Stack, webhook: dict[str, Any], pusher: Pusher, name: str, vector: Vector) -> str:
    repository = Repository(stack.registry, f"public/{name}")
    push_vector(pusher, repository, vector)
    stack.call(
        "system_create_node_platform", slug=name, arch="amd64", oci_repository=str(repository), trust=vector.trust
    )
    answer = stack.announce(webhook, platform_slug=name, oci_ref=f"{repository}@{vector.digest}")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["delivery_id"])


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_a_vector_ends_as_expected(name: str, stack: Stack, deliveries: dict[str, dict[str, object]]) -> None:
    vector, delivery = VECTORS[name], deliveries[name]
    publication = stack.call("system_get_disk_image_publication", id=delivery["publication_id"])["publication"]
    platform = stack.call("system_get_node_platform", id=name)["node_platform"]
    assert publication["oci_digest"] == vector.digest
    if vector.is_good:
        assert (delivery["status"], publication["status"]) == ("done", "published")
        assert publication["cosign_verified"] is True
        assert publication["signer"]["mode"] == vector.trust["mode"]
        assert platform["default_publication_id"] == publication["id"]
        assert platform["disk_image_oci_ref"] == f"{stack.registry}/public/{name}@{vector.digest}"
    else:
        assert (delivery["status"], publication["status"]) == ("failed", "failed")
        assert publication["cosign_verified"] is False
        assert publication["error_message"]
        assert platform["default_publication_id"] is None
        assert platform["disk_image_oci_ref"] is None


def test_what_prefect_keeps_of_failed_runs_is_scratch(stack: Stack, deliveries: dict[str, dict[str, object]]) -> None:
    assert any(delivery["status"] == "failed" for delivery in deliveries.values())
    assert not list((stack.home / "prefect").glob("storage/*"))
