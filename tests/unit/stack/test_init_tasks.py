"""What a start insists on, and what it says when it gives up."""

from __future__ import annotations

import logging

import pytest

from bootpress.core.errors import CatalogUnavailable
from bootpress.stack.init_tasks import RELAY_TRIES, retry_while_unavailable


class Step:
    """A step that fails so many times."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.taken = 0

    def __call__(self) -> None:
        self.taken += 1
        if self.taken <= self.failures:
            raise CatalogUnavailable("deadlock detected")


def test_a_step_that_fails_is_taken_again_until_it_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    step = Step(2)
    retry_while_unavailable(step, otherwise="all is lost", pause=0)
    assert step.taken == 3
    assert caplog.records == []


def test_a_step_that_goes_on_failing_is_given_up_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    step = Step(100)
    with caplog.at_level(logging.WARNING):
        retry_while_unavailable(step, otherwise="it waits", pause=0)
    assert step.taken == RELAY_TRIES
    assert caplog.messages == ["it waits: deadlock detected"]
