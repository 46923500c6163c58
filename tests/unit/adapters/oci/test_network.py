"""Whom we connect to, and how long we wait for them."""

from __future__ import annotations

import httpcore
import pytest

from bootpress.adapters.oci import Clock
from bootpress.adapters.oci.network import (
    LOOPBACK,
    PRIVATE,
    PUBLIC,
    GuardedBackend,
    ThreadDeadlines,
    TransferDeadline,
    address_scope,
    resolve_host,
)
from bootpress.adapters.oci.origins import Origin
from bootpress.core.errors import RegistryUnavailable


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("1.1.1.1", PUBLIC),
        ("2606:4700::1111", PUBLIC),
        ("10.1.2.3", PRIVATE),
        ("192.168.0.1", PRIVATE),
        ("172.16.0.1", PRIVATE),
        ("100.64.0.1", PRIVATE),
        ("fd00::1", PRIVATE),
        ("127.0.0.1", LOOPBACK),
        ("127.9.9.9", LOOPBACK),
        ("::1", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("::ffff:10.0.0.1", PRIVATE),
        ("169.254.169.254", None),
        ("::ffff:169.254.169.254", None),
        ("fe80::1%eth0", None),
        ("0.0.0.0", None),  # noqa: S104 - nothing is bound to it
        ("::", None),
        ("224.0.0.1", None),
        ("ff02::1", None),
    ],
)
def test_how_close_an_address_is(address: str, expected: int | None) -> None:
    assert address_scope(address) == expected


class Recorder(httpcore.NetworkBackend):
    """Connects to nobody, and keeps to whom."""

    def __init__(self) -> None:
        self.reached: list[str] = []

    def connect_tcp(self, host: str, *rest: object, **more: object) -> httpcore.NetworkStream:
        self.reached.append(host)
        return httpcore.NetworkStream()


NAMES = {
    "public.test": ["1.1.1.1"],
    "private.test": ["10.0.0.1"],
    "local.test": ["127.0.0.1"],
    "link.test": ["169.254.169.254"],
    "both.test": ["127.0.0.1", "1.0.0.1"],
}


def connect(home: str, other: str) -> str:
    """Connect to a registry and then to whom it sends us; return the address."""
    recorder = Recorder()
    backend = GuardedBackend(Origin("https", home, 443), NAMES.__getitem__, ThreadDeadlines(), recorder)
    backend.connect_tcp(home, 443)
    backend.connect_tcp(other, 8443)
    return recorder.reached[-1]


@pytest.mark.parametrize(
    ("home", "other", "address"),
    [
        ("public.test", "both.test", "1.0.0.1"),
        ("private.test", "private.test", "10.0.0.1"),
        ("private.test", "public.test", "1.1.1.1"),
        ("local.test", "local.test", "127.0.0.1"),
        ("local.test", "private.test", "10.0.0.1"),
        ("public.test", "public.test", "1.1.1.1"),
    ],
)
def test_a_registry_may_send_us_to_addresses_as_public_as_its_own(home: str, other: str, address: str) -> None:
    assert connect(home, other) == address


@pytest.mark.parametrize(
    ("home", "other"),
    [
        ("public.test", "private.test"),
        ("public.test", "local.test"),
        ("public.test", "link.test"),
        ("private.test", "local.test"),
        ("private.test", "link.test"),
        ("local.test", "link.test"),
    ],
)
def test_a_registry_may_not_send_us_closer_to_ourselves(home: str, other: str) -> None:
    with pytest.raises(RegistryUnavailable, match="inside our own network"):
        connect(home, other)


@pytest.mark.parametrize("order", [["127.0.0.1", "1.1.1.1"], ["1.1.1.1", "127.0.0.1"]])
def test_a_registry_cannot_become_a_neighbour_by_changing_what_its_name_means(order: list[str]) -> None:
    turns = iter(order)
    names = {"home.test": lambda: [next(turns)], "local.test": lambda: ["127.0.0.1"]}
    backend = GuardedBackend(
        Origin("https", "home.test", 443), lambda host: names[host](), ThreadDeadlines(), Recorder()
    )
    for _ in order:
        backend.connect_tcp("home.test", 443)
    with pytest.raises(RegistryUnavailable):
        backend.connect_tcp("local.test", 443)


def test_before_a_registry_was_reached_nobody_is_its_neighbour() -> None:
    backend = GuardedBackend(Origin("https", "local.test", 443), NAMES.__getitem__, ThreadDeadlines(), Recorder())
    with pytest.raises(RegistryUnavailable):
        backend.connect_tcp("private.test", 443)


def test_a_name_without_an_address_cannot_be_connected_to() -> None:
    def fail(_: str) -> list[str]:
        raise OSError(2, "no such name")

    def choke(_: str) -> list[str]:
        return resolve_host("x" * 300)

    for resolve, why in [(fail, "no such name"), (choke, "no host name"), (lambda _: list[str](), "has no address")]:
        backend = GuardedBackend(Origin("https", "a.test", 443), resolve, ThreadDeadlines(), Recorder())
        with pytest.raises(httpcore.ConnectError, match=why):
            backend.connect_tcp("a.test", 443)


class ManualClock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.time = 100.0
        self.timing = Clock(monotonic=lambda: self.time)


def test_a_read_may_take_what_is_left() -> None:
    clock = ManualClock()
    watch = TransferDeadline(clock.timing, deadline=130)
    assert (watch.remaining(20), watch.remaining(None)) == (20, 30)
    clock.time = 125
    assert watch.remaining(20) == 5
    clock.time = 130
    with pytest.raises(httpcore.ReadTimeout, match="as a whole"):
        watch.remaining(20)


def test_a_rate_is_measured_over_a_while() -> None:
    clock = ManualClock()
    watch = TransferDeadline(clock.timing, deadline=1000, rate=10, rate_seconds=5)
    clock.time = 104
    watch.count_bytes(0)
    clock.time = 105
    watch.count_bytes(50)
    clock.time = 109.9
    watch.count_bytes(49)
    clock.time = 110.0
    watch.count_bytes(1)
    clock.time = 115
    with pytest.raises(httpcore.ReadTimeout, match="less than 10 bytes a second"):
        watch.count_bytes(49)


def test_without_a_rate_there_is_only_the_deadline() -> None:
    clock = ManualClock()
    watch = TransferDeadline(clock.timing, deadline=1000)
    clock.time = 900
    watch.count_bytes(0)
    assert watch.remaining(None) == 100


@pytest.mark.parametrize("addresses", [["1.1.1.1"], ["10.0.0.1"], ["fd00::1", "1.1.1.1"]])
def test_a_name_of_this_machine_that_leads_elsewhere_is_not_connected_to(addresses: list[str]) -> None:
    recorder = Recorder()
    backend = GuardedBackend(
        Origin("http", "registry.localhost", 5000), lambda _: addresses, ThreadDeadlines(), recorder
    )
    with pytest.raises(RegistryUnavailable, match="is a name of this machine, and its address is not"):
        backend.connect_tcp("registry.localhost", 5000)
    assert recorder.reached == []


def test_a_name_of_this_machine_is_connected_to_at_loopback_alone() -> None:
    recorder = Recorder()
    addresses = ["10.0.0.1", "127.0.0.1"]
    backend = GuardedBackend(
        Origin("http", "registry.localhost", 5000), lambda _: addresses, ThreadDeadlines(), recorder
    )
    backend.connect_tcp("registry.localhost", 5000)
    assert recorder.reached == ["127.0.0.1"]
