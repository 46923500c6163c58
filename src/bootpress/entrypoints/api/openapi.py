"""The OpenAPI 3.1 document, written from the operation catalogue: what is documented is what is validated by."""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import Any

from pydantic.json_schema import models_json_schema

from bootpress.core.deliveries.payload import DeliveryPayload
from bootpress.core.operation import Operation
from bootpress.core.operation_registry import OPERATIONS
from bootpress.core.webhooks.service import PATH as WEBHOOK_PATH
from bootpress.entrypoints.api.metrics import MEDIA_TYPE as METRICS_TYPE
from bootpress.entrypoints.api.problems import MEDIA_TYPE

EVERYWHERE = {
    400: "This is no HTTP/1.1",
    408: "The request took too long to arrive",
    431: "The request line and its headers are too large",
    501: "The body has another transfer coding than chunked",
    503: "All connections are in use; see Retry-After",
}
"""What a server says before it knows which path is asked for."""
TOKEN_ERRORS = EVERYWHERE | {
    401: "No or bad token",
    429: "Too many requests; see Retry-After",
    503: "The catalog is away, or all connections are in use; see Retry-After",
}
OPERATION_ERRORS = TOKEN_ERRORS | {
    400: "The body is not a JSON object",
    403: "A permission is missing; the detail names it",
    404: "Unknown, or another account's",
    409: "The present state forbids it",
    413: "The body is too large",
    422: "A field is invalid or unknown; the detail names it",
    501: "The other side has no such feature",
    503: "The catalog, a registry or the orchestrator is away; see Retry-After",
}
WEBHOOK_ERRORS = EVERYWHERE | {
    400: "The body is not JSON (the signature held)",
    401: "The signature is missing or wrong, or the webhook is unknown, disabled or revoked",
    413: "The body is larger than 64 KiB",
    415: "The body is not declared as application/json",
    422: "A field is missing or invalid; the detail names it (the signature held)",
    429: "Over the rate; see Retry-After",
    503: "The catalog cannot store it; see Retry-After",
}
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "field": {"type": "string"},
    },
}
RECEIPT = {
    "type": "object",
    "required": ["status", "delivery_id"],
    "properties": {
        "status": {"enum": ["accepted", "duplicate"]},
        "delivery_id": {"type": "string", "format": "uuid"},
    },
}
LISTING = {
    "type": "object",
    "required": ["operations"],
    "properties": {"operations": {"type": "array", "items": {"type": "object"}}},
}
_METRICS = {
    "description": "In Prometheus' text format",
    "content": {METRICS_TYPE.partition(";")[0]: {"schema": {"type": "string"}}},
}


@functools.cache
def document() -> dict[str, Any]:
    """Return the whole document."""
    models = [(operation.request, "validation") for operation in OPERATIONS.values()]
    models += [(operation.answer, "serialization") for operation in OPERATIONS.values()]
    refs, schemas = models_json_schema(
        [*models, (DeliveryPayload, "validation")],  # type: ignore[list-item]  # mypy widens the literals
        ref_template="#/components/schemas/{model}",
    )
    paths = {
        f"/api/v1/operations/{operation.name}": {
            "post": _operation(
                operation, refs[operation.request, "validation"], refs[operation.answer, "serialization"]
            )
        }
        for operation in OPERATIONS.values()
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "bootpress", "version": version("bootpress"), "summary": "Publish verified disk images"},
        "security": [{"token": []}],
        "paths": _other_paths(refs[DeliveryPayload, "validation"]) | paths,
        "components": {
            "schemas": {**schemas["$defs"], "Problem": PROBLEM, "Receipt": RECEIPT, "Operations": LISTING},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation[Any, Any], request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    documented: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"Needs the permission `{operation.permission}`.",
        "tags": ["changes" if operation.changes else "reads"],
        "requestBody": {"content": {"application/json": {"schema": request}}},
        "responses": {"200": _answered("The answer", answer)} | _errors(OPERATION_ERRORS),
    }
    if operation.changes:
        documented["parameters"] = [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "A repeat within 24 h gets the stored answer, its secrets null",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            }
        ]
    return documented


def _other_paths(announcement: dict[str, Any]) -> dict[str, Any]:
    receipt = {"$ref": "#/components/schemas/Receipt"}
    webhook = {
        "operationId": "disk_image_built",
        "summary": "Announce an artifact; signed with HMAC-SHA256 over the raw body",
        "security": [],
        "parameters": [
            {"name": "webhook_id", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "X-Powernode-Signature", "in": "header", "schema": {"type": "string"}},
            {"name": "X-Hub-Signature-256", "in": "header", "schema": {"type": "string"}},
            {"name": "X-Gitea-Signature", "in": "header", "schema": {"type": "string"}},
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": announcement}}},
        "responses": {
            "202": _answered("A new delivery, stored", receipt),
            "200": _answered("The same body waits already", receipt),
        }
        | _errors(WEBHOOK_ERRORS),
    }
    return {
        WEBHOOK_PATH + "{webhook_id}": {"post": webhook},
        "/api/v1/operations": {
            "get": _looked_up(
                "list_operations",
                "List names, permissions and JSON Schemas of all operations",
                _answered("The catalogue", {"$ref": "#/components/schemas/Operations"}),
            )
        },
        "/api/openapi.json": {
            "get": _looked_up("openapi", "Describe the API", _answered("This document", {"type": "object"}))
        },
        "/metrics": {"get": _looked_up("metrics", "Show the numbers of this process to Prometheus", _METRICS)},
        "/healthz": {"get": _probed("alive", "Tell that the process is up", "ok", EVERYWHERE)},
        "/readyz": {
            "get": _probed(
                "ready",
                "Tell that the database is there, with the schema of this version",
                "ready",
                EVERYWHERE | {503: "It is not, or all connections are in use; see Retry-After"},
            )
        },
    }


def _looked_up(name: str, summary: str, answer: dict[str, Any]) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": {"200": answer} | _errors(TOKEN_ERRORS)}


def _probed(name: str, summary: str, status: str, errors: dict[int, str]) -> dict[str, Any]:
    schema = {"type": "object", "required": ["status"], "properties": {"status": {"const": status}}}
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {"200": _answered("It is so", schema)} | _errors(errors),
    }


def _answered(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors(descriptions: dict[int, str]) -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": said, "content": problem} for status, said in sorted(descriptions.items())}
