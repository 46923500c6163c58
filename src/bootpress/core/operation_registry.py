"""Operation registry: every public operation, by name."""

from __future__ import annotations

from typing import Any

from bootpress.core.accounts import operations as accounts
from bootpress.core.builds import operations as builds
from bootpress.core.connections import operations as connections
from bootpress.core.events import operations as events
from bootpress.core.operation import Operation
from bootpress.core.platforms import operations as platforms
from bootpress.core.publications import operations as publications
from bootpress.core.retention import operations as retention
from bootpress.core.webhooks import operations as webhooks
from bootpress.core.workers import operations as workers

OPERATION_MODULES = (accounts, builds, connections, events, platforms, publications, retention, webhooks, workers)


def _collect() -> dict[str, Operation[Any, Any]]:
    found = [value for noun in OPERATION_MODULES for value in vars(noun).values() if isinstance(value, Operation)]
    return {operation.name: operation for operation in sorted(found, key=lambda one: one.name)}


OPERATIONS = _collect()
PERMISSIONS = tuple(sorted({operation.permission for operation in OPERATIONS.values()}))
