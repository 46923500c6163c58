"""The OpenAPI 3.1 document, written from the operation catalogue: what is documented is what is validated by."""

from __future__ import annotations

import functools
from importlib.metadata import version
from typing import Any

from pydantic.json_schema import models_json_schema

from bootpress.core.catalogue import OPERATIONS
from bootpress.core.operations import Operation
from bootpress.core.webhooks.announcement import Announcement
from bootpress.core.webhooks.service import PATH as WEBHOOK_PATH
from bootpress.surfaces.api.problems import MEDIA_TYPE

OPERATION_ERRORS = {
    400: "The body is not a JSON object",
    401: "No or bad token",
    403: "A permission is missing; the detail names it",
    404: "Unknown, or another account's",
    408: "The body took too long",
    409: "The present state forbids it",
    413: "The body is too large",
    422: "A field is invalid or unknown; the detail names it",
    429: "Too many requests; see Retry-After",
    501: "The other side has no such feature",
    503: "The catalog, a registry or the orchestrator is away; see Retry-After",
}
WEBHOOK_ERRORS = {
    400: "The body is not JSON (the signature held)",
    401: "The signature is missing or wrong, or the webhook is unknown, disabled or revoked",
    408: "The body took too long",
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


@functools.cache
def document() -> dict[str, Any]:
    """Return the whole document."""
    models = [(operation.request, "validation") for operation in OPERATIONS.values()]
    models += [(operation.answer, "serialization") for operation in OPERATIONS.values()]
    refs, schemas = models_json_schema(
        [*models, (Announcement, "validation")],  # type: ignore[list-item]  # mypy widens the literals
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
        "paths": _other_paths(refs[Announcement, "validation"]) | paths,
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
    listing = {
        "operationId": "list_operations",
        "summary": "List names, permissions and JSON Schemas of all operations",
        "responses": {"200": _answered("The catalogue", {"$ref": "#/components/schemas/Operations"})}
        | _errors({status: OPERATION_ERRORS[status] for status in (401, 429, 503)}),
    }
    return {WEBHOOK_PATH + "{webhook_id}": {"post": webhook}, "/api/v1/operations": {"get": listing}}


def _answered(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors(descriptions: dict[int, str]) -> dict[str, Any]:
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {str(status): {"description": said, "content": problem} for status, said in descriptions.items()}
