"""A field that is wrong is named as its caller wrote it, with what is accepted at that place."""

from __future__ import annotations

from typing import Any

import pytest

from bootpress.core.errors import InvalidInput
from bootpress.core.operation_registry import OPERATIONS

PLATFORM = {"slug": "edge", "arch": "amd64", "oci_repository": "registry.example.org/os/edge"}
BUILDER = {"owner": "acme", "repo": "disk-images"}
KEYLESS = {"mode": "keyless", "cosign_identity_regexp": "a", "cosign_issuer_regexp": "b"}


def refusal(name: str, fields: dict[str, Any]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        OPERATIONS[name].parse(fields)
    return caught.value


@pytest.mark.parametrize("name", ["system_create_node_platform", "system_update_node_platform"])
@pytest.mark.parametrize(
    ("trust", "field", "message", "hint"),
    [
        ({"mode": "keys", "public_key": "x"}, "public_key", "unknown field trust.public_key", "mode, public_keys"),
        ({"mode": "keys", "keys": ["x"]}, "keys", "unknown field trust.keys", "mode, public_keys"),
        ({"mode": "keys"}, "public_keys", "field trust.public_keys is missing", "mode, public_keys"),
        ({"public_keys": ["x"]}, "mode", "field trust.mode is missing", "keyless, keys"),
        ({"mode": "both"}, "mode", "field trust.mode: 'both' is unknown", "keyless, keys"),
        ({"mode": "keys", "public_keys": [""]}, "public_keys.0", "should have at least 1 character", None),
        ({"mode": "keys", "public_keys": []}, "public_keys", "should have at least 1 item", None),
        (KEYLESS | {"trusted_root": "staging"}, "trusted_root", "trust.trusted_root", None),
    ],
)
def test_a_field_within_another_is_named_by_its_path(
    name: str, trust: dict[str, Any], field: str, message: str, hint: str | None
) -> None:
    own = PLATFORM if name == "system_create_node_platform" else {"id": "edge"}
    error = refusal(name, own | {"trust": trust})
    assert error.field == f"trust.{field}"
    assert message in error.message
    assert error.hint == (f"accepted: {hint}" if hint else None)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("recent_events", {"kind_prefix": ""}, "field kind_prefix: should have at least 1 character"),
        ("recent_events", {"kind_prefix": "x" * 2049}, "field kind_prefix: should have at most 2048 characters"),
        ("create_api_token", {"name": "x", "permissions": []}, "field permissions: should have at least 1 item"),
        ("create_api_token", {"name": " \t", "permissions": ["*"]}, "field name: is blank"),
        ("recent_events", {"platform": "a\0b"}, "field platform: holds a NUL character"),
        ("recent_events", {"limit": True}, "field limit: should be a valid integer"),
        ("recent_events", {"limit": "5"}, "field limit: should be a valid integer"),
        ("dispatch_gitea_workflow", {"repo": "a/b", "inputs": 5}, "field inputs: should be an object"),
        ("get_gitea_job_logs", {"job_id": "a b"}, "field job_id: should match pattern"),
        ("bootstrap_disk_image_ci", BUILDER | {"label": "a\x1b[2Jb"}, "field label: holds a character that cannot be"),
        ("provision_disk_image_webhook", {"label": "a\nb"}, "field label: holds a character that cannot be seen"),
        ("system_provision_ci_worker", {"name": "a\u202eb"}, "field name: holds a character that cannot be seen"),
        ("recent_events", {"since": 5}, "field since: is no RFC 3339 time"),
        ("recent_events", {"since": "5"}, "field since: is no RFC 3339 time"),
        ("recent_events", {"since": "2026-01-31"}, "field since: is no RFC 3339 time"),
        ("recent_events", {"since": "2026-01-31T12:00:00"}, "field since: should have timezone info"),
        ("system_connect_registry", {"host": "h", "plain_http": "yes"}, "field plain_http: should be a valid"),
        ("system_connect_registry", {"host": "h", "token": "a\n"}, "field token: holds the end of a line"),
        ("system_connect_forge", {"kind": "gitea", "token": "a\x00"}, "field token: holds the end of a line"),
        ("revoke_api_token", {"id": "x"}, "field id: should be an id as lists show it"),
        ("system_update_node_platform", {"id": "edge", "slug": None}, "field slug: may be left away, but not be null"),
        ("system_update_node_platform", {"id": "edge", "trust": None}, "field trust: may be left away"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_field(name: str, fields: dict[str, Any], message: str) -> None:
    error = refusal(name, fields)
    assert error.message.startswith(message)
    assert "function-" not in str(error)


def test_a_misspelt_field_is_named_before_what_is_missing_for_it() -> None:
    error = refusal("system_get_node_platform", {"ids": "edge"})
    assert (error.message, error.hint, error.field) == ("unknown field ids", "accepted: account_id, id", "ids")


def test_a_title_loses_the_blanks_around_it() -> None:
    parsed = OPERATIONS["create_api_token"].parse({"name": " robot ", "permissions": ["*"]})
    assert parsed.name == "robot"


def test_the_schema_offers_null_only_where_null_says_something() -> None:
    fields = OPERATIONS["system_update_node_platform"].request.model_json_schema()["properties"]
    offered = {name for name, said in fields.items() if {"type": "null"} in said.get("anyOf", [])}
    assert offered == {"account_id", "registry", "forge"}
