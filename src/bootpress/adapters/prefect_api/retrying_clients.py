"""Prefect's own clients, made to try again soon when SQLite was busy.

On SQLite Prefect answers 503 as soon as two writes meet, without saying when to come back; its client then sleeps two
seconds, then four. The lock is free after milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.context import SyncClientContext

_TRIES: Final = "bootpress.tries"
FIRST_SECONDS: Final = 0.1
LAST_SECONDS: Final = 1.0
PATIENCE: Final = 60
"""Busy answers to one call that do not count as failed tries: about a minute, as Prefect's own five tries take."""


@contextmanager
def quick_sync_clients() -> Iterator[None]:
    """Give everything that asks Prefect for its synchronous client inside the block one that tries again soon."""
    with _QuickContext():
        yield


def retrying_client() -> PrefectClient:
    """Return an asynchronous client that tries again soon."""
    return get_client(httpx_settings={"event_hooks": {"response": [_come_back_soon_async]}})


class _QuickContext(SyncClientContext):
    """Prefect's client context; `get_client` returns its client where it is asked for one without settings."""

    def __init__(self, httpx_settings: dict[str, Any] | None = None) -> None:
        super().__init__(httpx_settings={"event_hooks": {"response": [_come_back_soon]}})
        self._httpx_settings = httpx_settings


def _come_back_soon(response: httpx.Response) -> None:
    """Write into a busy answer when to try again; Prefect's client sends the same request object each time."""
    if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE or "Retry-After" in response.headers:
        return
    tries = response.request.extensions.get(_TRIES, 0)
    response.request.extensions[_TRIES] = tries + 1
    response.headers["Retry-After"] = str(min(LAST_SECONDS, FIRST_SECONDS * 2 ** min(tries, 10)))
    if tries < PATIENCE:
        response.headers["Prefect-Maintenance"] = "true"  # Prefect's word for an answer that is not a failure


async def _come_back_soon_async(response: httpx.Response) -> None:
    _come_back_soon(response)
