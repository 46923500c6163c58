"""Each class of error has one status, in one place."""

from __future__ import annotations

import json

import pytest

from bootpress.core import errors
from bootpress.entrypoints.api.problems import to_problem


def every_kind(kind: type[errors.BootpressError]) -> list[type[errors.BootpressError]]:
    return [kind, *(one for below in kind.__subclasses__() for one in every_kind(below))]


OURS = [kind for kind in every_kind(errors.BootpressError)[1:] if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", OURS)
def test_every_class_of_the_tree_has_a_status(kind: type[errors.BootpressError]) -> None:
    error = errors.RateLimited("what", retry_after=3) if kind is errors.RateLimited else kind("what", hint="do this")
    problem = to_problem(error)
    assert 400 <= problem.status <= 503
    assert problem.status != 500
    assert problem.body()["detail"] == "what"


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (errors.InvalidInput("x", field="a"), 422, None),
        (errors.Unauthenticated("x"), 401, None),
        (errors.Forbidden("x"), 403, None),
        (errors.NotFound("x"), 404, None),
        (errors.IllegalTransition("x"), 409, None),
        (errors.SignatureRejected("x"), 422, None),
        (errors.RateLimited("x", retry_after=0.01), 429, "1"),
        (errors.RateLimited("x", retry_after=2.2), 429, "3"),
        (errors.Unsupported("x"), 501, None),
        (errors.RegistryUnavailable("x", retry_after=7), 503, "7"),
        (errors.CatalogUnavailable("x"), 503, "5"),
    ],
)
def test_a_status_and_when_to_come_back(error: errors.BootpressError, status: int, retry_after: str | None) -> None:
    problem = to_problem(error)
    assert (problem.status, problem.headers.get("Retry-After")) == (status, retry_after)


def test_what_a_caller_sent_is_repeated_within_bounds_and_as_utf_8() -> None:
    response = to_problem(errors.InvalidInput("\ud800" + "x" * 10_000, field="\udfff")).response()
    assert len(response.body) < 3_000
    assert json.loads(bytes(response.body))["field"] == "?"
    assert response.media_type == "application/problem+json"
