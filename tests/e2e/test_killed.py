"""SIGKILL in the middle of twenty deliveries loses none and publishes none twice."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.oci import OciRegistries
from bootpress.core.references import Repository
from bootpress.stack import sample_image
from tests.support.running_stack import running_stack

MANY = 20

pytestmark = pytest.mark.part("docker-registry")


@pytest.mark.timeout(420)
def test_killed_in_the_middle_of_twenty_deliveries_publishes_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tuple((title, media_type, sample_image.MIB) for title, media_type, _ in sample_image.LAYERS)
    monkeypatch.setattr(sample_image, "LAYERS", small)
    key = SigningKey.create()
    home = tmp_path / "home"
    with running_stack(home) as stack, closing(OciRegistries()) as registries:
        repository = Repository(stack.registry, "os/killed")
        workshop = sample_image.Workshop(tmp_path, repository, registries)
        stack.call(
            "system_create_node_platform",
            slug="killed",
            arch="amd64",
            oci_repository=str(repository),
            trust={"mode": "keys", "public_keys": [key.public_pem]},
        )
        webhook = stack.call("provision_disk_image_webhook", label="killed")
        for number in range(MANY):
            workshop.sign(key, workshop.push(f"v{number}", lambda _: None))
        answers = [
            stack.announce(webhook, platform_slug="killed", oci_ref=f"{repository}:v{number}") for number in range(MANY)
        ]
        assert {answer.status_code for answer in answers} == {202}
        expected = {answer.json()["delivery_id"] for answer in answers}
        stack.program.wait_until(
            lambda: any(one["status"] != "received" for one in stack.deliveries().values()),
            what="the first delivery is under way",
        )
        os.kill(stack.program.pid, signal.SIGKILL)
    with running_stack(home) as stack:
        finished = stack.wait_for(expected, seconds=150)
        assert {one["status"] for one in finished.values()} == {"done"}
        events = stack.call("recent_events", kind_prefix="system.disk_image_published", limit=500)["events"]
        published = [event["payload"]["oci_digest"] for event in events]
        assert len(published) == len(set(published)) == MANY
