"""One byte a second against the limits that an installation really has: by a clock that runs faster, on real sockets.

The table of `hostile` meets such registries with limits of a second or two. Here nothing is configured, as in
production, and what time it takes follows from the adapter's own limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootpress.adapters.oci import Clock, Limits, OciRegistries, OciRegistry
from bootpress.adapters.oci.manifests import digest_of
from bootpress.adapters.prefect_api.launcher import PrefectLauncher
from bootpress.core.builds.callbacks import BuildAwareLauncher
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import Descriptor, RegistryConnection
from bootpress.core.references import Repository
from bootpress.settings import Settings
from bootpress.wiring import create_context
from tests.support.clocks import FastTime
from tests.support.hostile_registry import Exchange, drip, hostile_registry

LIMITS = Limits()
SPEED = 20
A_SECOND = 1 / SPEED
LATE = SPEED
"""Seconds by the fast clock that a machine may be busy with other things: one of its own."""
CONTENT = bytes(1_000_000)
BLOB = Descriptor("application/octet-stream", digest_of(CONTENT), len(CONTENT))
RESUMED = Descriptor("application/octet-stream", digest_of(CONTENT[1:]), len(CONTENT) - 1)
SMALL = Descriptor("application/json", digest_of(b"{}" * 500), 1000)
WAITS = sum(LIMITS.backoff_seconds * 2**number for number in range(LIMITS.tries - 1))
OF_A_REQUEST = LIMITS.request_seconds
OF_A_BLOB = LIMITS.tries * (LIMITS.rate_seconds + 1) + WAITS

Read = Callable[[OciRegistry, Repository], object]


@dataclass(frozen=True, slots=True)
class Slow:
    """Something that is read, in how many seconds it must be given up, and in which words."""

    read: Read
    seconds: float
    says: str = "it took too long as a whole"


A_RATE = f"less than {LIMITS.slowest_rate} bytes a second"
READ = {
    "a tag": Slow(lambda registry, target: registry.resolve_tag(target, "v1"), OF_A_REQUEST),
    "headers": Slow(lambda registry, target: registry.resolve_tag(target, "v2"), OF_A_REQUEST),
    "a manifest": Slow(lambda registry, target: registry.fetch_manifest(target, BLOB.digest), OF_A_REQUEST),
    "referrers": Slow(lambda registry, target: registry.list_referrers(target, BLOB.digest), OF_A_REQUEST),
    "a signature": Slow(lambda registry, target: registry.read_blob(target, SMALL, limit=1000), OF_A_BLOB, A_RATE),
    "a blob": Slow(lambda registry, target: registry.verify_blob(target, BLOB), OF_A_BLOB, A_RATE),
    "a blob that is resumed": Slow(lambda registry, target: registry.verify_blob(target, RESUMED), OF_A_BLOB, A_RATE),
}


def resumed(exchange: Exchange) -> None:
    """Go on where it was given up, one byte a second."""
    start = int(exchange.request.headers.get("Range", "bytes=0-")[6:-1])
    end = RESUMED.size - 1
    exchange.hang_up()
    placed = {"Content-Range": f"bytes {start}-{end}/{RESUMED.size}"} if start else {}
    exchange.head(206 if start else 200, {"Content-Length": str(end + 1 - start), **placed})
    while True:
        exchange.write(b"\0")
        exchange.wait(A_SECOND)


@pytest.fixture(scope="module")
def ended() -> Iterator[dict[str, tuple[float, str]]]:
    """Read everything at the same time; return how long it took by the fast clock, and what was said."""
    fast = FastTime(SPEED)

    def give_up(name: str) -> tuple[float, str]:
        begun = fast.monotonic()
        with pytest.raises(RegistryUnavailable) as caught:
            READ[name].read(registry, target)
        return fast.monotonic() - begun, str(caught.value)

    with hostile_registry() as hostile, ThreadPoolExecutor(len(READ)) as pool:
        slow, slowest = drip(CONTENT, seconds=A_SECOND), drip(CONTENT, seconds=A_SECOND, head=True)
        for path, behaviour in {
            "manifests/v1": slow,
            "manifests/v2": slowest,
            f"manifests/{BLOB.digest}": slow,
            f"referrers/{BLOB.digest}": slow,
            f"blobs/{SMALL.digest}": drip(b"{}" * 500, seconds=A_SECOND),
            f"blobs/{BLOB.digest}": slow,
            f"blobs/{RESUMED.digest}": resumed,
        }.items():
            hostile.on(f"/v2/os/images/{path}", behaviour)
        registries = OciRegistries(timing=fast.timing)
        registry = registries.open(RegistryConnection("default", hostile.host))
        target = Repository(hostile.host, "os/images")
        yield dict(zip(READ, pool.map(give_up, READ), strict=True))
        registries.close()


@pytest.mark.parametrize("name", READ)
def test_a_byte_a_second_is_given_up_when_the_limits_say_and_not_before(
    name: str, ended: dict[str, tuple[float, str]]
) -> None:
    seconds, said = ended[name]
    assert re.search(READ[name].says, said), said
    assert READ[name].seconds - LIMITS.tries - 1 < seconds < READ[name].seconds + LATE


def test_no_byte_a_second_holds_a_step_of_an_ingest_for_two_minutes() -> None:
    assert max(OF_A_REQUEST, OF_A_BLOB) < 120


def test_an_installation_has_these_limits_and_real_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    context = create_context(Settings(home=tmp_path))
    assert isinstance(context.registries, OciRegistries)
    transport = context.registries.open(RegistryConnection("default", "registry.example"))._transport
    assert (transport.limits, transport.timing) == (LIMITS, Clock())
    context.registries.close()
    assert isinstance(context.launcher, BuildAwareLauncher)
    assert isinstance(context.launcher.inner, PrefectLauncher)
    context.launcher.inner._api.close()
    context.catalog.close()
