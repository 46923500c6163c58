"""Answers as a person reads them: ids whole, an event with what it is about, at any width."""

from __future__ import annotations

import io
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console

from bootpress.entrypoints.cli.output import print_response

at_each_width = pytest.mark.parametrize("width", [80, 120, 200])


def shown(answer: dict[str, Any], width: int) -> str:
    text = io.StringIO()
    print_response(answer, out=Console(file=text, width=width))
    assert all(len(line) <= width for line in text.getvalue().splitlines())
    return text.getvalue()


def event(kind: str = "published", **payload: Any) -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "kind": f"system.disk_image_{kind}",
        "severity": "low",
        "source": "bootpress",
        "actor": "worker",
        "payload": payload,
        "occurred_at": "2026-01-31T12:00:00.123Z",
    }


def delivery() -> dict[str, Any]:
    return {
        "id": str(uuid4()),
        "webhook_id": str(uuid4()),
        "status": "failed",
        "platform_slug": "edge",
        "oci_ref": "registry.example.org/os/disk-images/edge:main",
        "git_sha": "1" * 40,
        "publication_id": str(uuid4()),
        "error_message": "no signature is trusted " * 5,
        "received_at": "2026-01-31T12:00:00.123Z",
    }


@at_each_width
def test_each_sentence_of_a_list_begins_a_line_and_names_share_one(width: int) -> None:
    warnings = [
        "the webhook is disabled: system_enable_disk_image_webhook lets it accept " + "deliveries " * 9,
        "short",
    ]
    text = shown({"warnings": warnings, "gitea_secrets_set": ["COSIGN_PASSWORD", "COSIGN_PRIVATE_KEY"]}, width)
    assert "warnings:\n  - the webhook is disabled" in text
    assert "\n  - short\n" in text
    assert "gitea secrets set: COSIGN_PASSWORD, COSIGN_PRIVATE_KEY\n" in text


@at_each_width
def test_an_event_says_when_what_and_about_what(width: int) -> None:
    publication = str(uuid4())
    text = shown({"events": [event("publish_failed", platform_slug="edge", error_message="unsigned")]}, width)
    assert "2026-01-31 12:00:00Z" in text
    assert "edge · unsigned" in text
    text = shown({"events": [event(publication_id=publication)]}, width)
    assert (publication if width >= 120 else publication[:13]) in text
    assert "pipeline" in shown({"events": [event("webhook_revoked", label="pipeline")]}, width)
    assert "--json" in text


@at_each_width
def test_ids_stay_whole(width: int) -> None:
    rows = [delivery() for _ in range(3)]
    text = shown({"deliveries": rows}, width)
    for row in rows:
        assert row["id"] in text
        if width >= 120:
            assert row["publication_id"] in text
    assert "failed" in text


@at_each_width
def test_why_a_publication_is_protected_is_shown_beside_it(width: int) -> None:
    one = {"publication_id": str(uuid4()), "because": "default"}
    text = shown({"protected": [one]}, width)
    assert one["publication_id"] in text
    assert "default" in text


@at_each_width
def test_lines_that_are_to_be_copied_stay_as_they_are(width: int) -> None:
    key = f"-----BEGIN PUBLIC KEY-----\n{'M' * 64}\n-----END PUBLIC KEY-----"
    text = shown({"cosign_public_key": f"{key}\n", "ok": True}, width)
    assert f"cosign public key\n{key}\n" in text
    log = "2026-01-31T12:00:00.000Z error: " + "x" * 300
    lines = io.StringIO()
    print_response({"logs": f"{log}\nend\n"}, out=Console(file=lines, width=width))
    assert f"\n{log}\nend\n" in lines.getvalue()
    assert "logs  —" in shown({"logs": ""}, width)


def test_what_is_shown_once_is_named_also_where_nothing_is_coloured() -> None:
    text = io.StringIO()
    answer = {"token_id": "1", "token": "secret", "key": None}
    print_response(answer, secrets=("token", "key"), out=Console(file=text, width=80, no_color=True))
    assert text.getvalue().splitlines()[-1] == "shown once, keep it now: token"


@at_each_width
def test_a_build_is_shown_with_its_run_and_a_run_with_how_it_ended(width: int) -> None:
    build = {"id": str(uuid4()), "status": "published", "run_id": "7", "publication_id": str(uuid4()), "arch": "amd64"}
    text = shown({"builds": [build]}, width)
    assert "run id" in text
    assert "amd64" in text, "what follows a column that does not fit is shown where it fits"
    run = {
        "id": "7",
        "status": "completed",
        "conclusion": "failure",
        "event": "workflow_dispatch",
        "head_sha": "1" * 40,
    }
    text = shown(
        {"runs": [run | {"ref": "main", "url": "https://gitea.example.org/acme/disk-images/actions/runs/7"}]}, width
    )
    assert "failure" in text
    assert "workflow_dispatch" in text
    assert "1" * 13 not in text


def test_at_a_wide_screen_nothing_that_tells_is_left_away() -> None:
    text = shown({"deliveries": [delivery()]}, 400)
    assert "no signature is trusted" in text
    assert "registry.example.org/os/disk-images/edge:main" in text
    assert "11111111111" in text


@pytest.mark.parametrize("cursor", [None, "eDF8Mg==" * 40])
def test_a_list_says_how_the_next_page_is_called(cursor: str | None) -> None:
    text = io.StringIO()
    print_response({"next_cursor": cursor, "deliveries": [delivery()]}, out=Console(file=text, width=80))
    last = text.getvalue().splitlines()[-1]
    assert (f"the same call with cursor={cursor}" in last) == (cursor is not None)
    assert "next cursor" not in text.getvalue()
