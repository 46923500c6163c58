"""Which errors a step tries again within its run, holding its place meanwhile."""

from __future__ import annotations

import pytest
from prefect import task
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from bootpress.core.errors import (
    CatalogUnavailable,
    ContentRejected,
    RegistryFailing,
    RegistryPaused,
    RegistryUnavailable,
    RegistryUnreachable,
)
from tasks.retries import is_retryable


@task
def step() -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (CatalogUnavailable("busy"), True),
        (RegistryUnavailable("another delivery verifies it"), True),
        (RegistryFailing("answers 503"), True),
        (RegistryUnreachable("timed out"), False),
        (RegistryPaused("the breaker is open"), False),
        (ContentRejected("bad"), False),
        (ValueError("a fault of ours"), False),
    ],
)
def test_a_place_is_kept_for_another_try_only_where_it_may_soon_help(error: Exception, *, again: bool) -> None:
    run = TaskRun(task_key="step", dynamic_key="0")
    assert is_retryable(step, run, Failed(data=error)) == again
