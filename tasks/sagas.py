"""Hold a saga while a flow carries it out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid4

from prefect import task
from prefect.context import FlowRunContext

from bootpress.core.context import Context
from bootpress.core.errors import CatalogUnavailable
from bootpress.core.sagas import store
from bootpress.core.sagas.rules import LEASE
from bootpress.core.sagas.store import SagaLease
from bootpress.wiring import get_context
from tasks.retries import RETRYABLE_TASK

RENEWALS_PER_LEASE: Final = 3
Abandon = Callable[[Context, SagaLease, BaseException], None]


def _abandon(context: Context, hold: SagaLease, error: BaseException) -> None:
    store.fail(context, hold.saga_id, error, hold=hold)


@contextmanager
def saga_scope(saga_id: UUID, *, abandon: Abandon = _abandon) -> Iterator[SagaLease]:
    """Take a saga up and keep its lease while the block runs; if it raises, `abandon` it and pass the error on.

    Raises Superseded when it is another run's, or over.
    """
    hold = SagaLease(saga_id, _run_id())
    begin(hold)
    over = threading.Event()
    renewing = threading.Thread(target=_renew, args=(hold, over), name="renew-lease", daemon=True)
    renewing.start()
    try:
        yield hold
    except BaseException as error:
        abandon(get_context(), hold, error)
        raise
    finally:
        over.set()
        renewing.join()


@task(name="begin", **RETRYABLE_TASK)
def begin(hold: SagaLease) -> None:
    """Take the saga up: from here on it is this run's."""
    store.begin(get_context(), hold)


def _renew(hold: SagaLease, over: threading.Event) -> None:
    while not over.wait(LEASE.total_seconds() / RENEWALS_PER_LEASE):
        try:
            store.renew(get_context(), hold)
        except CatalogUnavailable:
            continue  # the lease may run out: then another run goes on, and this one records nothing


def _run_id() -> UUID:
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return run.id if run is not None else uuid4()
