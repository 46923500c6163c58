"""Description of the operations, the same at every entry point."""

from __future__ import annotations

from typing import Any

from bootpress.core.operation import Operation


def operation_schema(operation: Operation[Any, Any]) -> dict[str, Any]:
    """Return an operation's name, summary, permission and JSON Schemas."""
    return {
        "name": operation.name,
        "summary": operation.summary,
        "permission": operation.permission,
        "changes": operation.changes,
        "request": operation.request.model_json_schema(),
        "answer": operation.answer.model_json_schema(mode="serialization"),
    }
