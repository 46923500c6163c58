"""Hold a procedure while a flow carries it out."""

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
from bootpress.core.workers import procedures
from bootpress.core.workers.procedures import Hold
from bootpress.core.workers.rules import LEASE
from bootpress.wiring import of_process
from tasks.retries import RETRIED

RENEWALS_PER_LEASE: Final = 3
Abandon = Callable[[Context, Hold, BaseException], None]


def _abandon(context: Context, hold: Hold, error: BaseException) -> None:
    procedures.fail(context, hold.procedure_id, error, hold=hold)


@contextmanager
def carrying_out(procedure_id: UUID, *, abandon: Abandon = _abandon) -> Iterator[Hold]:
    """Take a procedure up and keep its lease while the block runs; if it raises, `abandon` it and pass the error on.

    Raises Superseded when it is another run's, or over.
    """
    hold = Hold(procedure_id, _run_id())
    begin(hold)
    over = threading.Event()
    renewing = threading.Thread(target=_renew, args=(hold, over), name="renew-lease", daemon=True)
    renewing.start()
    try:
        yield hold
    except BaseException as error:
        abandon(of_process(), hold, error)
        raise
    finally:
        over.set()
        renewing.join()


@task(name="begin", **RETRIED)
def begin(hold: Hold) -> None:
    """Take the procedure up: from here on it is this run's."""
    procedures.begin(of_process(), hold)


def _renew(hold: Hold, over: threading.Event) -> None:
    while not over.wait(LEASE.total_seconds() / RENEWALS_PER_LEASE):
        try:
            procedures.renew(of_process(), hold)
        except CatalogUnavailable:
            continue  # the lease may run out: then another run goes on, and this one records nothing


def _run_id() -> UUID:
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return run.id if run is not None else uuid4()
