"""Pure rules of CI workers: whose a runner is, how a worker is, when a pipeline needs another key."""

from __future__ import annotations

import pytest

from bootpress.core.url_validation import is_loopback
from bootpress.core.workers import rules


@pytest.mark.parametrize(
    ("name", "labels", "workers", "owner"),
    [
        ("edge", [], ["old", "edge"], 1),
        (" EDGE ", [], ["old", "edge"], 1),
        ("host-7", ["amd64", "Edge"], ["old", "edge"], 1),
        ("host-7", ["disk-image-builder", "amd64"], ["old", "edge"], 0),
        ("host-7", ["edge", "old"], ["old", "edge"], 0),
        ("anything", [], ["only"], 0),
    ],
)
def test_a_runner_belongs_to_the_worker_it_is_called_after_else_to_the_oldest(
    name: str, labels: list[str], workers: list[str], owner: int
) -> None:
    assert rules.owner_of(name, labels, workers) == owner


@pytest.mark.parametrize(
    ("revoked", "registered", "online", "status"),
    [
        (False, 0, 0, "pending"),
        (False, 2, 0, "offline"),
        (False, 2, 1, "online"),
        (True, 2, 1, "revoked"),
    ],
)
def test_a_worker_is_pending_until_a_runner_registers_and_online_while_one_is(
    *, revoked: bool, registered: int, online: int, status: str
) -> None:
    assert rules.runner_status(is_revoked=revoked, registered=registered, online=online) == status


@pytest.mark.parametrize(
    ("is_known", "has_key", "rotate", "replaces", "needed", "warned"),
    [
        (False, False, False, False, True, None),
        (False, False, False, True, True, None),
        (False, True, False, False, False, "was not made here"),
        (False, True, False, True, True, None),
        (True, True, False, False, False, None),
        (True, True, False, True, False, None),
        (True, False, False, False, True, "no more"),
        (True, True, True, True, True, "is another now"),
        (True, False, True, True, True, "is another now"),
        (False, False, True, True, True, None),
    ],
)
def test_a_key_is_made_where_there_is_none_and_kept_where_there_is_one(
    *, is_known: bool, has_key: bool, rotate: bool, replaces: bool, needed: bool, warned: str | None
) -> None:
    found, said = rules.needs_key(is_known=is_known, has_key=has_key, rotate=rotate, replaces=replaces)
    assert found is needed
    assert (said is None) is (warned is None)
    assert (warned or "") in (said or "")


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("http://127.0.0.1:8480", True),
        ("//127.9.9.9", True),
        ("//[::1]:5000", True),
        ("//localhost.", True),
        ("//a.localhost:5000", True),
        ("https://press.example", False),
        ("//10.0.0.1:5000", False),
        ("//localhost.example", False),
    ],
)
def test_what_leads_to_this_machine_only_is_told_from_the_rest(url: str, *, answer: bool) -> None:
    assert is_loopback(url) is answer
