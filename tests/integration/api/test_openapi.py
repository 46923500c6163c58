"""The OpenAPI document and the server agree: whatever is sent, no 5xx, and no answer that the document does not know.

`make test ARGS="-k openapi --hypothesis-profile=long"` tries a hundred times as much.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.auth import AuthBase
from schemathesis import Case, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bootpress.core.webhooks.service import PATH as WEBHOOK_PATH
from bootpress.entrypoints.api import openapi
from tests.support.console import Console, running_console
from tests.support.core_harness import REPOSITORY

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
WEBHOOK = f"POST {WEBHOOK_PATH}{{webhook_id}}"
FEWER = 10
"""There are many operations: each gets this part of a profile's examples."""
OPERATIONS = {
    found.ok().label: found.ok()
    for found in schemathesis.openapi.from_dict(openapi.document()).get_all_operations()
    if isinstance(found, Ok)
}


class Signed(AuthBase):
    """Signs what requests is about to send, as a pipeline does."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else bytes(body)
        request.headers["X-Powernode-Signature"] = hmac.digest(self._secret.encode(), raw, "sha256").hex()
        return request


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with running_console(tmp_path_factory.mktemp("openapi")) as running:
        running.world.publish()
        running.world.publish()
        running.fail()
        yield running


@pytest.fixture(scope="module")
def known(console: Console) -> dict[str, list[Any]]:
    """Return values that lead further, by their fields: nobody guesses the UUID of what is there, or a key."""
    world = console.world
    platform = str(world.call("system_list_node_platforms")["node_platforms"][0]["id"])
    listed = world.call("system_list_disk_image_publications", node_platform_id=platform)["publications"]
    publications = [one["id"] for one in listed]
    webhook, token = str(world.webhook_id), str(console.mint("system.events.read")[0])
    return {
        "node_platform_id": [platform, "edge"],
        "publication_id": publications,
        "webhook_id": [webhook],
        "platform": ["edge"],
        "id": [platform, *publications, token],
        "account_id": [str(world.account_id)],
        "permissions": [["system.events.read"]],
        "host": ["127.0.0.1:5000"],
        "trust": [world.images.trust],
        "oci_repository": [REPOSITORY],
        "oci_ref": [f"{REPOSITORY}:v1"],
    }


def test_every_operation_of_the_document_can_be_tried() -> None:
    documented = {f"{method.upper()} {path}" for path, item in openapi.document()["paths"].items() for method in item}
    assert documented == OPERATIONS.keys()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("label", OPERATIONS)
def test_no_answer_is_a_5xx_or_unknown_to_the_document(
    console: Console, known: dict[str, list[Any]], label: str
) -> None:
    operation = OPERATIONS[label]
    modes = [GenerationMode.POSITIVE] + [GenerationMode.NEGATIVE] * label.startswith("POST ")
    # The token is given, or cases without one are made too; those are tests of their own.
    headers = {"Authorization": f"Bearer {console.token}"}
    cases = st.one_of([operation.as_strategy(generation_mode=mode, headers=headers) for mode in modes])

    @settings(
        max_examples=max(1, settings().max_examples // FEWER),
        suppress_health_check=list(HealthCheck),  # making cases is slow, and some are thrown away
    )
    @given(case=cases, data=st.data())
    def conforms(case: Case[Any], data: st.DataObject) -> None:
        if case.meta is not None and case.meta.generation.mode.is_positive:
            lead_further(case, known, data)
        signed = Signed(console.world.secret) if label == WEBHOOK else None
        answer = case.call(base_url=console.url, auth=signed)
        # The one 5xx that may be: a feature that is not built, and says so.
        checks = CHECKS if is_unsupported(answer) else [not_a_server_error, *CHECKS]
        case.validate_response(answer, checks=checks)

    conforms()


def is_unsupported(answer: Response) -> bool:
    return answer.status_code == 501 and answer.json()["type"] == "urn:bootpress:problem:unsupported"


def lead_further(case: Case[Any], known: dict[str, list[Any]], data: st.DataObject) -> None:
    """Replace made-up values in a case that is valid, some of the time."""
    places: list[Any] = [case.body, case.path_parameters]
    for place in places:
        for field in sorted(known.keys() & place.keys()) if isinstance(place, dict) else ():
            place[field] = data.draw(st.sampled_from([place[field], *known[field]]), label=field)
