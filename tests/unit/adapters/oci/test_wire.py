"""Whom we connect to, and how long we wait for them."""

from __future__ import annotations

import httpcore
import pytest

from bootpress.adapters.oci import Timing
from bootpress.adapters.oci.wire import LOOPBACK, PRIVATE, PUBLIC, Backend, Watch, reach
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
    assert reach(address) == expected


class Reached(Exception):
    """An address would have been connected to."""


class Recorder(httpcore.SyncBackend):
    """Connects to nobody."""

    def connect_tcp(self, host: str, *rest: object, **more: object) -> httpcore.NetworkStream:
        raise Reached(host)


NAMES = {
    "public.test": ["1.1.1.1"],
    "private.test": ["10.0.0.1"],
    "local.test": ["127.0.0.1"],
    "link.test": ["169.254.169.254"],
    "both.test": ["127.0.0.1", "1.0.0.1"],
}


def backend(home: str) -> Backend:
    made = Backend((home, 443), NAMES.__getitem__)
    made._inner = Recorder()
    with pytest.raises(Reached):
        made.connect_tcp(home, 443)
    return made


@pytest.mark.parametrize(
    ("home", "other", "address"),
    [
        ("public.test", "both.test", "1.0.0.1"),
        ("private.test", "private.test", "10.0.0.1"),
        ("private.test", "public.test", "1.1.1.1"),
        ("local.test", "local.test", "127.0.0.1"),
        ("local.test", "private.test", "10.0.0.1"),
        ("both.test", "local.test", "127.0.0.1"),
    ],
)
def test_a_registry_may_send_us_to_addresses_as_public_as_its_own(home: str, other: str, address: str) -> None:
    with pytest.raises(Reached, match=address):
        backend(home).connect_tcp(other, 8443)


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
        backend(home).connect_tcp(other, 8443)


def test_another_port_of_the_registry_is_judged_like_anybody() -> None:
    with pytest.raises(Reached, match=r"1\.1\.1\.1"):
        backend("public.test").connect_tcp("public.test", 8443)


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.time = 100.0
        self.timing = Timing(monotonic=lambda: self.time)


def test_a_read_may_take_what_is_left() -> None:
    clock = Clock()
    watch = Watch(clock.timing, deadline=130)
    assert (watch.allow(20), watch.allow(None)) == (20, 30)
    clock.time = 125
    assert watch.allow(20) == 5
    clock.time = 130
    with pytest.raises(httpcore.ReadTimeout, match="as a whole"):
        watch.allow(20)


def test_a_rate_is_measured_over_a_while() -> None:
    clock = Clock()
    watch = Watch(clock.timing, deadline=1000, rate=10, rate_seconds=5)
    clock.time = 104
    watch.saw(0)
    clock.time = 105
    watch.saw(50)
    clock.time = 109.9
    watch.saw(49)
    clock.time = 110.0
    watch.saw(1)
    clock.time = 115
    with pytest.raises(httpcore.ReadTimeout, match="less than 10 bytes a second"):
        watch.saw(49)


def test_without_a_rate_there_is_only_the_deadline() -> None:
    clock = Clock()
    watch = Watch(clock.timing, deadline=1000)
    clock.time = 900
    watch.saw(0)
    assert watch.allow(None) == 100
