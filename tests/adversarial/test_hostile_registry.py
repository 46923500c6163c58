"""A hostile registry against the whole ingest: the real core, adapter and verifier on a real catalog.

The cases are in `hostile`. For each: the right error, final or tried again, nothing published that should not
be, no credential at another origin, bounded requests, bytes, time and memory; and the same registry without its
misbehaviour publishes.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bootpress.adapters.oci import Network, OciRegistries
from bootpress.core.deliveries import attempts
from bootpress.core.references import digest_hex
from tests.adversarial.hostile.case import BEFORE, Case
from tests.adversarial.hostile.table import CASES, FAMILIES, LARGE_ANSWERS, LARGE_BLOBS
from tests.support.clocks import PerThreadSkippingClock
from tests.support.core_harness import CoreHarness
from tests.support.hostile_registry import Request, hostile_registry
from tests.support.processes import Program
from tests.support.served_images import BASIC, KERNEL, REQUESTS, SECRET, ServedImage
from tests.support.tls import Tls, make_tls

ROOT = Path(__file__).resolve().parents[2]
NAMES = {
    "registry.test": ["127.0.0.1"],
    "token.test": ["127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
}
MEMORY = 48 * 1024 * 1024
"""Bytes that a process may grow by in one ingest."""
KEPT = 2 * MEMORY
"""Bytes that it may keep of all of them, which are dozens: allocators give back what is free when they like."""


class Scene:
    """One case on its servers, and one installation that ingests from them."""

    def __init__(self, case: Case, served: ServedImage, world: CoreHarness, quick: PerThreadSkippingClock) -> None:
        self.case, self.served, self.world, self.quick = case, served, world, quick
        world.connections.save_registry(world.account_id, served.connection)
        self.platform_id = world.platform(trust=served.images.trust, oci_repository=served.repository)
        self.claims = claims_of(case, served)

    @property
    def requests(self) -> list[Request]:
        return [*self.served.home.requests, *self.served.elsewhere.requests]

    def announce(self) -> str:
        """Announce the tag; return how the first attempt ended."""
        self.delivery_id = self.world.announce(ref=f"{self.served.repository}:v1", **self.claims)
        return self.world.process(self.delivery_id)

    def relayed(self) -> list[str]:
        """Return how the attempts end that the relay starts now."""
        known = {launch.key for launch in self.world.launcher.deliveries}
        attempts.launch_due(self.world.context)
        fresh = [launch for launch in self.world.launcher.deliveries if launch.key not in known]
        assert {launch.delivery_id for launch in fresh} <= {self.delivery_id}
        return [
            self.world.work(
                attempts.start(self.world.context, self.delivery_id, attempt_id=launch.key, flow_run_id=launch.run_id)
            )
            for launch in fresh
        ]


def claims_of(case: Case, served: ServedImage) -> dict[str, str]:
    """Return what is announced besides the tag."""
    return {
        name: text.format(digest=served.digest, hex=digest_hex(served.digest)) for name, text in case.claims.items()
    }


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return make_tls(tmp_path_factory.mktemp("tls"), NAMES)


@contextmanager
def serving(case: Case, tls: Tls, *, kernel: bytes = KERNEL) -> Iterator[ServedImage]:
    """Run the two origins of a case, with an image on one of them."""
    home_scheme, other_scheme = case.origins
    with (
        hostile_registry(tls.server if home_scheme == "https" else None) as home,
        hostile_registry(tls.server if other_scheme == "https" else None) as elsewhere,
    ):
        host = f"registry.test:{home.port}" if home_scheme == "https" or case.plain_http else None
        yield ServedImage(home, elsewhere, host=host, plain_http=case.plain_http, kernel=kernel)


@pytest.fixture
def scene(request: pytest.FixtureRequest, tls: Tls, tmp_path: Path) -> Iterator[Scene]:
    case: Case = request.param
    quick = PerThreadSkippingClock()
    network = Network(lambda: tls.client, lambda host: NAMES.get(host, [host]), lambda _: None)
    registries = OciRegistries(limits=case.limits, timing=quick.timing, network=network)
    with serving(case, tls) as served:
        world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}", registries=registries)
        yield Scene(case, served, world, quick)
        registries.close()
        world.catalog.close()


def test_an_honest_registry_is_asked_as_often_as_the_table_says(tls: Tls, tmp_path: Path) -> None:
    registries = OciRegistries()
    case = Case(name="honest", mischief=lambda _: None, ending="published")
    with serving(case, tls) as served:
        world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}", registries=registries)
        assert Scene(case, served, world, PerThreadSkippingClock()).announce() == "published"
        asked = [request.path for request in served.home.requests]
        assert len(asked) == REQUESTS
        first = {part: asked.index(served.path(part), 1) for part in BEFORE if part != "kernel"}
        assert {**first, "kernel": BEFORE["kernel"]} == BEFORE
        assert sorted(asked[-2:]) == sorted([served.path("config"), served.path("kernel")])
        registries.close()
        world.catalog.close()


@pytest.mark.parametrize("scene", [pytest.param(case, id=case.name) for case in CASES], indirect=True)
def test_a_hostile_registry_gets(scene: Scene) -> None:
    case, served, world = scene.case, scene.served, scene.world
    case.mischief(served)
    begun = time.monotonic()
    assert scene.announce() == case.ending
    assert time.monotonic() - begun + sum(scene.quick.slept) < case.seconds
    assert len(scene.requests) <= case.requests
    assert served.home.sent + served.elsewhere.sent <= case.sent
    assert_no_credential_left_home(scene)
    match case.ending:
        case "published":
            assert world.errors == []
            assert_published(scene)
        case "failed":
            assert_error(scene)
            assert_failed_for_good(scene)
        case "postponed":
            assert_error(scene)
            assert_tried_again(scene)


def assert_error(scene: Scene) -> None:
    [error] = scene.world.errors
    assert scene.case.error is not None
    assert isinstance(error, scene.case.error)
    assert re.search(scene.case.says, str(error)), str(error)
    assert SECRET not in str(error)
    assert (scene.world.delivery(scene.delivery_id).error_message or "").startswith(str(error))


def assert_no_credential_left_home(scene: Scene) -> None:
    """Nothing that lets anybody in was sent to the other origin; at home it was asked for."""
    elsewhere = scene.served.elsewhere.requests
    assert len(elsewhere) == scene.case.elsewhere
    for request in elsewhere:
        assert request.authorization is None
        assert SECRET not in (said := f"{request.path}\n{request.headers}")
        assert BASIC.removeprefix("Basic ") not in said
        assert "first" not in said  # the token
    sent_home = [request.authorization for request in scene.served.home.requests if request.authorization]
    assert bool(sent_home) is scene.case.asks_for_credential


def assert_nothing_is_published(scene: Scene) -> None:
    platform = scene.world.find_platform(scene.platform_id)
    assert (platform.disk_image_oci_ref, platform.default_publication_id) == (None, None)
    assert scene.world.events("published") == []
    assert "published" not in {publication.status for publication in scene.world.publications()}


def assert_published(scene: Scene) -> None:
    """It is done: what was announced is published, whole, and nobody tries again."""
    world = scene.world
    delivery = world.delivery(scene.delivery_id)
    publication = world.publication(delivery.publication_id)
    assert (delivery.status, publication.status, publication.cosign_verified) == ("done", "published", True)
    assert publication.oci_digest == scene.served.digest
    assert publication.size_bytes == len(KERNEL) + len(scene.served.content("config"))
    assert len(world.events("published")) == 1
    world.clock.advance(hours=24)
    assert scene.relayed() == []


def assert_failed_for_good(scene: Scene) -> None:
    """Nobody tries again by himself; announced again to an honest registry, it is published."""
    world = scene.world
    assert_nothing_is_published(scene)
    delivery = world.delivery(scene.delivery_id)
    assert (delivery.status, delivery.attempt_count) == ("failed", 1)
    assert len(world.events("publish_failed")) == 1
    assert [publication.status for publication in world.publications()] in ([], ["failed"])
    asked = len(scene.requests)
    world.clock.advance(hours=24)
    assert scene.relayed() == []
    assert len(scene.requests) == asked
    make_honest(scene)
    assert scene.announce() == "published"
    assert_published(scene)


def assert_tried_again(scene: Scene) -> None:
    """The relay takes it up after its pause, not before; by then the registry is honest, and it is published."""
    world = scene.world
    assert_nothing_is_published(scene)
    delivery = world.delivery(scene.delivery_id)
    assert (delivery.status, delivery.attempt_count, delivery.finished_at) == ("processing", 1, None)
    assert delivery.next_attempt_at == world.clock.now() + timedelta(seconds=scene.case.pause)
    assert world.events() == []
    world.clock.advance(seconds=scene.case.pause - 1)
    assert scene.relayed() == []
    world.clock.advance(seconds=1)
    make_honest(scene)
    assert scene.relayed() == ["published"]
    assert world.delivery(scene.delivery_id).attempt_count == 2
    assert_published(scene)


def make_honest(scene: Scene) -> None:
    scene.served.mend()
    scene.case.after(scene.served)


def test_memory_stays_bounded_whatever_the_registry_sends(tls: Tls, tmp_path: Path) -> None:
    honest = Case(name="honest", mischief=lambda _: None, ending="published")
    kernel = bytes(MEMORY + MEMORY // 4) + b"!"
    cases = {case.name: case for case in (honest, *LARGE_ANSWERS, *LARGE_BLOBS)}
    assert all(any(case.name in cases for case in family) for family in FAMILIES)
    with ExitStack() as stack:
        jobs = []
        for case in cases.values():
            image = stack.enter_context(serving(case, tls, kernel=kernel if case in LARGE_BLOBS else KERNEL))
            jobs.append(job(case, image))
            case.mischief(image)
        honestly, *told = measured(jobs, tls, tmp_path)
    for one in (honestly, *told):
        case = cases[one["name"]]
        assert one["outcome"] == case.ending, one
        assert case.error.__name__ in one["errors"] if case.error else one["errors"] == [], one
    assert {one["name"]: one["grown"] for one in told if one["grown"] > MEMORY} == {}
    assert told[-1]["had"] - told[0]["had"] < KEPT


def job(case: Case, image: ServedImage) -> dict[str, Any]:
    """Describe a case to the process that is measured."""
    return {
        "name": case.name,
        "host": image.host,
        "plain_http": case.plain_http,
        "repository": image.repository,
        "trust": image.images.trust,
        "claims": claims_of(case, image),
        "limits": asdict(case.limits),
    }


def measured(jobs: list[dict[str, Any]], tls: Tls, folder: Path) -> list[dict[str, Any]]:
    """Do jobs in a process of their own; return what it tells of each."""
    file = folder / "jobs.json"
    file.write_text(json.dumps({"trusted": str(tls.file), "names": NAMES, "jobs": jobs}))
    words = [sys.executable, "-m", "tests.support.measured_ingest", str(file)]
    with Program(words, log=folder / "log", cwd=ROOT) as program:
        assert program.wait(120) == 0, program.output
    return [json.loads(line) for line in program.output.splitlines()]
