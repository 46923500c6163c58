"""Retention as a rule: what is protected stays, the newest stay, the rest goes in its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.retention.rules import GRACE, Candidate, Plan, plan

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
MOMENTS = st.integers(0, 30 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes))
# Some exactly at the end of their grace, and a second before.
RETIRED_AT = MOMENTS | st.sampled_from([NOW - GRACE, NOW - GRACE + timedelta(seconds=1)])
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        id=st.uuids(version=4),
        status=st.sampled_from(Status),
        published_at=st.none() | MOMENTS,
        retired_at=st.none() | RETIRED_AT,
        pinned=st.booleans(),
    ),
    max_size=25,
    unique_by=lambda candidate: candidate.id,
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Candidate], int, UUID | None, set[UUID]]:
    """Draw publications, a count, a default and those in use, some of them known and some not."""
    candidates = draw(CANDIDATES)
    ids = st.sampled_from([one.id for one in candidates]) if candidates else st.uuids(version=4)
    return candidates, draw(st.integers(1, 10)), draw(st.none() | ids), draw(st.sets(ids, max_size=5))


def make(situation: tuple[list[Candidate], int, UUID | None, set[UUID]]) -> Plan:
    candidates, count, default_id, in_use = situation
    return plan(candidates, retention_count=count, default_id=default_id, in_use=in_use, now=NOW)


@given(situations())
def test_what_is_default_pinned_or_in_use_is_neither_retired_nor_purged(
    situation: tuple[list[Candidate], int, UUID | None, set[UUID]],
) -> None:
    made = make(situation)
    candidates, _, default_id, in_use = situation
    held = {default_id, *in_use, *(one.id for one in candidates if one.pinned)}
    assert not held & {*made.retire, *made.purge}
    because = {"default": [default_id], "in use": in_use, "pinned": [one.id for one in candidates if one.pinned]}
    for protected in made.protected:
        assert [protected.publication_id] == [
            one for one in because[protected.because] if one == protected.publication_id
        ]


@given(situations())
def test_the_newest_published_are_kept_whatever_else_is_there(
    situation: tuple[list[Candidate], int, UUID | None, set[UUID]],
) -> None:
    made = make(situation)
    candidates, count, _, _ = situation
    published = {one.id: one.published_at for one in candidates if one.status == Status.PUBLISHED and one.published_at}
    assert len(made.keep) == min(count, len(published))
    assert set(made.keep) <= published.keys()
    others = [moment for one, moment in published.items() if one not in made.keep]
    assert all(published[one] >= moment for one in made.keep for moment in others)
    assert list(made.keep) == sorted(made.keep, key=lambda one: (published[one], one), reverse=True)


@given(situations())
def test_only_what_is_published_is_retired_and_only_what_is_retired_long_enough_is_purged(
    situation: tuple[list[Candidate], int, UUID | None, set[UUID]],
) -> None:
    made = make(situation)
    by_id = {one.id: one for one in situation[0]}
    assert {by_id[one].status for one in made.retire} <= {Status.PUBLISHED}
    for one in made.purge:
        retired_at = by_id[one].retired_at
        assert by_id[one].status == Status.RETIRED
        assert retired_at is not None
        assert NOW - retired_at >= GRACE


@given(situations())
def test_everything_is_in_one_place_and_nothing_due_is_forgotten(
    situation: tuple[list[Candidate], int, UUID | None, set[UUID]],
) -> None:
    made = make(situation)
    places = [*made.keep, *made.retire, *made.purge, *(one.publication_id for one in made.protected)]
    assert len(places) == len(set(places))
    due = {
        one.id
        for one in situation[0]
        if (one.status == Status.PUBLISHED and one.published_at)
        or (one.status == Status.RETIRED and one.retired_at and NOW - one.retired_at >= GRACE)
    }
    assert set(places) == due


@given(situations())
def test_the_order_of_rows_makes_no_difference(
    situation: tuple[list[Candidate], int, UUID | None, set[UUID]],
) -> None:
    candidates, count, default_id, in_use = situation
    again = plan(candidates[::-1], retention_count=count, default_id=default_id, in_use=in_use, now=NOW)
    first = make(situation)
    assert (again.keep, again.retire, again.purge) == (first.keep, first.retire, first.purge)


@given(situations())
def test_a_sweep_that_was_done_leaves_nothing_to_retire(
    situation: tuple[list[Candidate], int, UUID | None, set[UUID]],
) -> None:
    candidates, count, default_id, in_use = situation
    made = make(situation)
    after = [
        Candidate(one.id, Status.RETIRED, one.published_at, NOW, one.pinned) if one.id in made.retire else one
        for one in candidates
        if one.id not in made.purge
    ]
    again = make((after, count, default_id, in_use))
    assert (again.keep, again.retire, again.purge) == (made.keep, (), ())


def test_failed_and_revoked_ones_do_not_count() -> None:
    ids = [UUID(int=number) for number in range(4)]
    statuses = [Status.FAILED, Status.REVOKED, Status.PUBLISHED, Status.PUBLISHED]
    candidates = [
        Candidate(one, status, NOW - timedelta(minutes=number), None, pinned=False)
        for number, (one, status) in enumerate(zip(ids, statuses, strict=True))
    ]
    made = plan(candidates, retention_count=1, default_id=None, in_use=(), now=NOW)
    assert (made.keep, made.retire) == ((ids[2],), (ids[3],))
