"""Token buckets: never more than burst and rate allow, and no key is another's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.rate_limit import RateLimiter


class Watch:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_allowed_at_once_and_then_the_rate() -> None:
    watch = Watch()
    limiter = RateLimiter(rate=2, burst=3, monotonic=watch)
    assert [limiter.acquire("a") for _ in range(4)] == [0, 0, 0, 0.5]
    watch.now += 0.5
    assert limiter.acquire("a") == 0
    assert limiter.acquire("a") == 0.5


def test_who_is_told_to_wait_takes_nothing() -> None:
    limiter = RateLimiter(rate=1, burst=1, monotonic=Watch())
    assert [limiter.acquire("a") for _ in range(4)] == [0, 1, 1, 1]


def test_a_key_is_limited_by_itself() -> None:
    limiter = RateLimiter(rate=1, burst=1, monotonic=Watch())
    assert [limiter.acquire(key) for key in "abab"] == [0, 0, 1, 1]


def test_of_too_many_keys_the_longest_unused_is_forgotten() -> None:
    limiter = RateLimiter(rate=1, burst=1, keys=2, monotonic=Watch())
    for key in "ab":
        limiter.acquire(key)
    assert limiter.acquire("a") == 1
    limiter.acquire("c")
    assert limiter.acquire("a") == 1
    assert limiter.acquire("b") == 0
    assert len(limiter._buckets) == 2


@given(
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_nobody_gets_more_than_burst_and_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    watch = Watch()
    limiter = RateLimiter(rate=rate, burst=burst, monotonic=watch)
    begun, allowed = watch.now, 0
    for pause in pauses:
        watch.now += pause
        wait = limiter.acquire("a")
        allowed += wait == 0
        assert allowed <= burst + rate * (watch.now - begun) + 1e-6
        assert 0 <= wait <= 1 / rate + 1e-6
        if wait:
            watch.now += wait + 1e-6
            assert limiter.acquire("a") == 0
            allowed += 1


def test_threads_share_one_bucket() -> None:
    limiter = RateLimiter(rate=0.0001, burst=50, monotonic=Watch())
    gate = threading.Barrier(16)

    def take(_: int) -> int:
        gate.wait()
        return sum(limiter.acquire("a") == 0 for _ in range(20))

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(take, range(16))) == 50
