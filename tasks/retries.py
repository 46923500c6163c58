"""When a task is tried again: only for what may pass by itself."""

from __future__ import annotations

from typing import Any, Final

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from bootpress.core.errors import BootpressError, RegistryPaused, RegistryUnreachable

TRIES: Final = 3


def is_retryable(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Tell whether a failed try met something unavailable; a rejected artifact stays rejected."""
    try:
        state.result()
    except (RegistryPaused, RegistryUnreachable):
        return False  # it was waited for long enough, and the place is wanted: the delivery is put off
    except BootpressError as error:
        return error.retryable
    except Exception:  # noqa: BLE001 - a fault of ours: the delivery is put off, not hammered
        return False
    return False


RETRYABLE_TASK: Final[dict[str, Any]] = {
    "retries": TRIES - 1,
    "retry_delay_seconds": exponential_backoff(backoff_factor=1),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": is_retryable,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
"""Options of a task that talks to somebody who may be away."""

NO_RETRY_TASK: Final[dict[str, Any]] = {"cache_policy": NO_CACHE, "persist_result": False}
"""Options of a task that is not tried again by itself."""
