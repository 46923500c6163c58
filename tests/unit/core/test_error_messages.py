"""What an operator reads of an attempt that failed: what happened, and what to do about it."""

from __future__ import annotations

import pytest

from bootpress.core.errors import (
    BootpressError,
    ContentRejected,
    InvalidInput,
    ReferenceRejected,
    RegistryUnavailable,
    Rejected,
    SignatureRejected,
)
from bootpress.core.publications.completion import ADVICE, MAX_REASON, error_message


@pytest.mark.parametrize("kind", [SignatureRejected, ContentRejected, ReferenceRejected])
def test_a_rejection_that_gives_no_hint_is_told_with_advice(kind: type[Rejected]) -> None:
    assert error_message(kind("it is bad")) == f"it is bad ({ADVICE[kind]})"


def test_each_kind_of_rejection_has_its_own_advice() -> None:
    assert len({ADVICE[kind] for kind in (SignatureRejected, ContentRejected, ReferenceRejected)}) == 3


@pytest.mark.parametrize("kind", [SignatureRejected, ContentRejected])
def test_a_hint_is_better_than_advice(kind: type[Rejected]) -> None:
    assert error_message(kind("it is bad", hint="push it anew")) == "it is bad (push it anew)"


@pytest.mark.parametrize("error", [RegistryUnavailable("it is away"), InvalidInput("it is no digest")])
def test_what_is_no_rejection_is_told_as_it_is(error: BootpressError) -> None:
    assert error_message(error) == str(error)


def test_a_long_reason_leaves_room_for_the_database_alone() -> None:
    assert len(error_message(ContentRejected("x" * 2 * MAX_REASON))) == MAX_REASON


def test_of_a_fault_of_ours_only_the_kind_is_told() -> None:
    assert "ZeroDivisionError" in error_message(ZeroDivisionError("a secret"))
    assert "a secret" not in error_message(ZeroDivisionError("a secret"))
