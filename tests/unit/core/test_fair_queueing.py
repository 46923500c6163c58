"""Who gets the next place: the account with the fewest in flight, then the platform, then the registry host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bootpress.core.context import Limits
from bootpress.core.deliveries.fair_queueing import Launch, Queue, Running, Site, plan

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits(
    launches_in_flight=4,
    reserved_for_platforms=1,
    reserved_for_accounts=2,
    batches_in_flight=1,
    batches_reserved_for_hosts=1,
    batches_reserved_for_accounts=1,
    batch_size=10,
)
A, B, C, D, E = (UUID(int=number) for number in range(1, 6))


def lane(account: UUID, number: int = 0) -> UUID:
    return UUID(int=account.int * 1000 + number)


def queue(account: UUID, number: int = 0, *, due: int = 1, host: str = "", after: int = 0) -> Queue:
    since = BEGIN + timedelta(seconds=after)
    return Queue(lane(account, number), account, host or f"h{account.int}", due, since)


def single(account: UUID, number: int = 0, *, count: int = 1, host: str = "") -> Running:
    return Running(lane(account, number), account, host or f"h{account.int}", None, count)


def batch(account: UUID, number: int = 0, *, count: int = 10, host: str = "", of: int = 0) -> Running:
    return Running(lane(account, number), account, host or f"h{account.int}", UUID(int=10**6 + account.int + of), count)


def shown(launches: Sequence[Launch]) -> list[tuple[dict[UUID, int], bool]]:
    return [(dict(launch.takes), launch.is_batch) for launch in launches]


def planned(
    queues: Sequence[Queue],
    running: Sequence[Running] = (),
    caps: Mapping[Site, int] | None = None,
    limits: Limits = LIMITS,
) -> list[tuple[dict[UUID, int], bool]]:
    return shown(plan(queues, running, limits, caps=caps or {}))


def ones(*lanes: UUID) -> list[tuple[dict[UUID, int], bool]]:
    return [({one: 1}, False) for one in lanes]


def test_accounts_take_turns_whatever_waits_for_longer() -> None:
    assert planned([queue(A, due=3), queue(B, due=1, after=60)]) == ones(lane(A), lane(B), lane(A), lane(A))


def test_the_account_with_the_fewest_in_flight_comes_first() -> None:
    assert planned([queue(A), queue(B, after=9)], [single(A, 1, count=2), single(B, 1)])[0] == ({lane(B): 1}, False)


def test_within_an_account_platforms_take_turns() -> None:
    queues = [queue(A, 0, due=2), queue(A, 1, due=2, after=60)]
    assert planned(queues) == ones(lane(A, 0), lane(A, 1), lane(A, 0), lane(A, 1))


def test_between_platforms_the_registry_host_with_the_fewest_in_flight_comes_first() -> None:
    queues = [queue(A, 1, host="busy"), queue(A, 2, host="idle", after=60)]
    assert planned(queues, [single(A, 0, host="busy")]) == ones(lane(A, 2), lane(A, 1))


def test_what_is_due_for_longest_comes_first_where_all_else_is_equal() -> None:
    assert planned([queue(A, after=5), queue(B, after=1), queue(C, after=3)]) == ones(lane(B), lane(C), lane(A))


def test_a_crowd_goes_into_a_batch_of_one_account_and_host_and_a_single_one_gets_a_run_of_its_own() -> None:
    launches = planned([queue(A, due=25), queue(B, after=60)])
    assert launches == [({lane(A): 10}, True), ({lane(B): 1}, False)]


def test_a_batch_is_filled_from_all_platforms_of_an_account_on_one_host_evenly() -> None:
    queues = [queue(A, 1, due=9), queue(A, 2, due=3), queue(A, 3, due=9, host="elsewhere")]
    launches = planned(queues)
    assert launches[0] == ({lane(A, 1): 7, lane(A, 2): 3}, True)
    assert launches[1] == ({lane(A, 3): 9}, True)  # the reserved one, of a host that has none


def test_the_places_of_a_crowd_are_no_obstacle_to_an_account_or_platform_that_has_nothing_in_flight() -> None:
    full = [single(A, count=4), batch(A)]
    assert planned([queue(A, 0, due=9)], full) == []
    assert planned([queue(B)], full) == ones(lane(B))
    assert planned([queue(A, 1, host="other")], full) == ones(lane(A, 1))
    assert planned([queue(A, 1)], full) == ones(lane(A, 1))


def test_reserved_places_are_bounded_and_platforms_leave_some_to_accounts() -> None:
    full = [single(A, count=4), batch(A)]
    many = [queue(A, number, host=f"h{number}") for number in range(1, 20)]
    assert len(planned(many, full)) - sum(is_batch for _, is_batch in planned(many, full)) == 1
    with_platforms = [*full, single(A, 1, host="x")]
    assert planned([queue(B), queue(C), queue(D), queue(E)], with_platforms)[:2] == ones(lane(B), lane(C))
    assert sum(not is_batch for _, is_batch in planned([queue(B), queue(C), queue(D)], with_platforms)) == 2


def test_a_second_delivery_of_who_has_one_in_flight_takes_no_reserved_place() -> None:
    full = [single(A, count=4), batch(A), batch(B), batch(C), single(B)]
    assert planned([queue(B)], full) == []


def test_another_accounts_crowd_gets_a_reserved_batch() -> None:
    full = [single(A, count=4), batch(A), batch(A, of=10, host="two")]
    assert planned([queue(B, due=30)], full) == [({lane(B): 10}, True)]


@pytest.mark.parametrize("cap", [0, 1])
def test_a_host_that_fails_gets_as_many_places_as_its_breaker_says_and_no_batch(cap: int) -> None:
    launches = planned([queue(A, due=30, host="bad"), queue(A, 1, due=1, host="good")], caps={(A, "bad"): cap})
    assert Counter(str(takes) for takes, _ in launches)[str({lane(A): 1})] == cap
    assert ({lane(A, 1): 1}, False) in launches
    assert not any(is_batch for _, is_batch in launches)


def test_a_probe_under_way_is_the_only_one() -> None:
    caps = {(A, "bad"): 1}
    assert planned([queue(A, due=30, host="bad")], [single(A, host="bad")], caps) == []


def test_a_failing_host_of_one_account_is_nothing_to_another() -> None:
    assert planned([queue(B, host="bad")], caps={(A, "bad"): 0}) == ones(lane(B))


def test_places_are_never_exceeded_and_shared_evenly_whatever_waits() -> None:
    limits = Limits()
    queues = [queue(UUID(int=a), n, due=100, host=f"h{n}") for a in range(1, 30) for n in range(5)]
    launches = plan(queues, [], limits, caps={})
    batches = [launch for launch in launches if launch.is_batch]
    most = limits.batches_in_flight + limits.batches_reserved_for_hosts + limits.batches_reserved_for_accounts
    assert len(batches) <= most
    singles = limits.launches_in_flight + limits.reserved_for_platforms + limits.reserved_for_accounts
    assert len(launches) - len(batches) <= singles
    owners = {one.id: one.account_id for one in queues}
    taken = Counter(owners[queue_id] for launch in launches for queue_id in launch.takes)
    assert set(taken.values()) == {1}  # with more accounts than places, nobody has two


def test_spellings_of_one_host_are_one_site() -> None:
    queues = [queue(A, 0, host="localhost:5000"), queue(A, 1, host="127.0.0.1:5000", after=1)]
    assert planned(queues, caps={(A, "localhost:5000"): 1}) == ones(lane(A, 0))
    assert planned(queues, [single(A, 2, host="[::1]:5000")], caps={(A, "localhost:5000"): 1}) == []


class CountedMoment(datetime):
    """A moment that counts how often ranks come down to it."""

    compared = 0

    def __lt__(self, value: datetime, /) -> bool:  # type: ignore[override]  # datetime's own takes no dates either
        type(self).compared += 1
        return super().__lt__(value)


def test_a_thousand_queues_are_not_all_looked_at_for_each_place() -> None:
    """Prevents a look that takes seconds of the interpreter, whether or not there is a place."""
    count = 1000
    moments = [CountedMoment.fromtimestamp(number * 7919 % count, UTC) for number in range(count)]
    for running in ([], [single(A, number) for number in range(20)] + [batch(A, of=number) for number in range(5)]):
        CountedMoment.compared = 0
        queues = [Queue(lane(A, number), A, f"h{number}", 1, moment) for number, moment in enumerate(moments, 100)]
        planned(queues, running)
        assert 0 < CountedMoment.compared < 100 * count
