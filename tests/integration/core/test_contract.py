"""What listeners and operators read of events, and the default rates, against a catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootpress.core.deliveries.receiver import WebhookReceiver
from bootpress.core.errors import InvalidInput, RateLimited
from bootpress.settings import Settings
from tests.support.core_harness import CLIENT, REPOSITORY, CoreHarness, sign_base64

PUBLISHED = {
    *("publication_id", "node_platform_id", "platform_slug", "oci_ref", "oci_digest", "sha256", "size_bytes"),
    *("arch", "git_sha", "signer"),
}


def test_events_are_recorded_with_their_severity_and_payload(world: CoreHarness) -> None:
    world.platform()
    world.publish()
    unsigned = world.images.image(sign=False)
    assert world.process(world.announce(ref=f"{REPOSITORY}@{unsigned}")) == "failed"
    events = {
        event["kind"].removeprefix("system.disk_image_"): event for event in world.call("recent_events")["events"]
    }
    severities = {kind: event["severity"] for kind, event in events.items()}
    assert severities == {"published": "low", "promoted": "medium", "publish_failed": "high"}
    assert events["published"]["payload"].keys() >= PUBLISHED
    assert events["publish_failed"]["payload"].keys() >= {"error_message", "delivery_id", "publication_id"}


class Watch:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def is_limited(world: CoreHarness, bell: WebhookReceiver) -> bool:
    """Ring with a good signature and a body that says nothing: it counts, and stores nothing."""
    headers = {"x-powernode-signature": sign_base64(world.secret, b"{}")}
    with pytest.raises((RateLimited, InvalidInput)) as caught:
        bell.receive(world.webhook_id, headers=headers, body=b"{}", client=CLIENT)
    return isinstance(caught.value, RateLimited)


def test_a_webhook_sends_a_thousand_at_once_and_fifty_a_second_unless_set_otherwise(tmp_path: Path) -> None:
    world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}")
    settings, watch = Settings(), Watch()
    bell = WebhookReceiver(world.context, rate=settings.webhook_rate, burst=settings.webhook_burst, monotonic=watch)
    assert [number for number in range(1100) if is_limited(world, bell)] == list(range(1000, 1100))
    watch.now += 1
    assert [number for number in range(60) if is_limited(world, bell)] == list(range(50, 60))
    world.catalog.close()
