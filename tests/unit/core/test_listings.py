"""Whatever lists pages, or says how much it lists at most: derived from the catalogue, so that no later one forgets."""

from __future__ import annotations

from typing import Any

import pytest

from bootpress.core.operation import MAX_LIMIT
from bootpress.core.operation_registry import OPERATIONS

WORDS_ABOUT_ONE_THING = {"warnings", "gitea_secrets_set", "gitea_variables_set", "runners_deregistered"}
"""What one call did or warns of: as much as it did, never rows that add up."""
REPORTS = {"system_preview_disk_image_retention", "system_sweep_disk_image_retention"}
"""Ids of one platform's publications, of which retention keeps few: what a sweep did or would do, as a whole."""


def top_lists(name: str) -> dict[str, dict[str, Any]]:
    schema = OPERATIONS[name].answer.model_json_schema(mode="serialization")
    return {field: said for field, said in schema["properties"].items() if said.get("type") == "array"}


LISTING = [name for name in OPERATIONS if name not in REPORTS and top_lists(name).keys() - WORDS_ABOUT_ONE_THING]


def pages(name: str) -> bool:
    operation = OPERATIONS[name]
    return {"limit", "cursor"} <= operation.request.model_fields.keys() and (
        "next_cursor" in operation.answer.model_fields
    )


@pytest.mark.parametrize("name", LISTING)
def test_what_lists_pages_or_says_how_much_it_lists_at_most(name: str) -> None:
    if pages(name):
        return
    for field, said in top_lists(name).items():
        assert 0 < said.get("maxItems", 0) <= MAX_LIMIT, f"{name} lists {field} without pages and without a bound"


@pytest.mark.parametrize("name", [name for name in OPERATIONS if "_list_" in f"_{name}" or name == "recent_events"])
def test_what_is_called_a_list_pages_unless_somebody_elses_server_lists(name: str) -> None:
    assert pages(name) or name == "list_gitea_workflow_runs"


@pytest.mark.parametrize("name", [name for name in OPERATIONS if "limit" in OPERATIONS[name].request.model_fields])
def test_every_limit_is_from_1_to_500(name: str) -> None:
    said = OPERATIONS[name].request.model_json_schema()["properties"]["limit"]
    assert (said["minimum"], said["maximum"]) == (1, 500)


def test_no_exception_is_left_that_nobody_needs() -> None:
    assert {field for name in OPERATIONS for field in top_lists(name)} >= WORDS_ABOUT_ONE_THING
    assert all(top_lists(name) for name in REPORTS)
