"""Keyless signatures and a registry with token login, from a signed webhook to the publication in the running stack."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bootpress.adapters.oci import Layer, OciRegistries
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.support.cosign import Cosign
from tests.support.registries import NAMESPACE, RunningRegistry
from tests.support.running_stack import Stack
from tests.support.sigstore_live import FORGE, MAIN, Sigstore

pytestmark = [pytest.mark.part("cosign2"), pytest.mark.part("cosign3"), pytest.mark.part("docker-registry")]


def push(connection: RegistryConnection, repository: Repository, folder: Path) -> str:
    """Push an image of one layer; return its digest."""
    kernel = folder / "vmlinuz"
    kernel.write_text(f"the kernel of {repository}")
    with closing(OciRegistries()) as registries:
        layer = Layer(kernel, "application/vnd.bootpress.kernel.v1", "vmlinuz")
        return registries.open_pusher(connection).push_image(repository, [layer], tag="v1")


def publish(stack: Stack, slug: str, image: str) -> dict[str, Any]:
    """Announce an image to its platform, and wait for what becomes of it; return the publication."""
    webhook = stack.call("provision_disk_image_webhook", label=slug)
    answer = stack.announce(webhook, platform_slug=slug, oci_ref=image)
    assert answer.status_code == 202, answer.text
    [delivery] = stack.wait_for({str(answer.json()["delivery_id"])}, seconds=60).values()
    answered = stack.call("system_get_disk_image_publication", id=delivery["publication_id"])
    publication: dict[str, Any] = answered["publication"]
    return publication


@pytest.mark.parametrize(("major", "rekor"), [(2, 1), (3, 1), (3, 2)])
def test_a_keyless_image_is_published_under_the_root_of_its_services(
    stack: Stack, sigstore: Sigstore, tmp_path: Path, major: int, rekor: int
) -> None:
    slug = f"keyless-{major}-{rekor}"
    repository = Repository(stack.registry, f"live/{slug}")
    image = repository.at(push(RegistryConnection("local", stack.registry), repository, tmp_path))
    Cosign(major, tmp_path / "cosign").sign_keyless(image, sigstore, sigstore.token(), rekor=rekor)
    stack.call(
        "system_create_node_platform", slug=slug, arch="amd64", oci_repository=str(repository), trust=sigstore.trust()
    )

    publication = publish(stack, slug, image)

    assert (publication["status"], publication["error_message"]) == ("published", None)
    assert publication["signer"]["identity"] == f"{FORGE}/{MAIN}"
    assert publication["signer"]["issuer"] == sigstore.issuer.url


def test_an_image_in_a_registry_with_token_login_is_published(
    stack: Stack, open_registry: Callable[[str], RunningRegistry], tmp_path: Path
) -> None:
    gitea = open_registry("gitea").connection
    repository = Repository(gitea.host, f"{NAMESPACE}/announced")
    image = repository.at(push(gitea, repository, tmp_path))
    cosign = Cosign(3, tmp_path / "cosign", login=gitea)
    key = cosign.make_key("ours")
    cosign.sign(image, key)
    stack.call("system_connect_registry", name="gitea", host=gitea.host, username=gitea.username, token=gitea.token)
    trust = {"mode": "keys", "public_keys": [key.pem]}
    stack.call(
        "system_create_node_platform", slug="on-gitea", arch="amd64", oci_repository=str(repository), trust=trust
    )

    publication = publish(stack, "on-gitea", image)

    assert (publication["status"], publication["error_message"]) == ("published", None)
    assert publication["signer"]["mode"] == "keys"
