"""From the report in Prefect to the page of the publication, over the link that a person would click."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from bootpress.adapters.oci import OciRegistries
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.support.running_stack import Stack
from tests.support.vectors import load_vectors, push_vector

pytestmark = pytest.mark.part("docker-registry")


def report_of(stack: Stack, publication_id: str) -> str:
    """Return the Markdown that the ingest of a publication left in Prefect; the run ends a moment after publishing."""
    asked = {"artifacts": {"type": {"any_": ["markdown"]}}, "sort": "CREATED_DESC", "limit": 200}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        answer = httpx.post(f"{stack.prefect_api}/artifacts/filter", json=asked, auth=stack.prefect_auth, timeout=30)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        for artifact in found:
            if publication_id in artifact["data"]:
                return str(artifact["data"])
        time.sleep(0.2)
    raise AssertionError(f"no report names {publication_id}")


def test_the_report_in_prefect_links_to_a_page_that_shows_the_digest(stack: Stack) -> None:
    vector = next(vector for vector in load_vectors().values() if vector.is_good)
    repository = Repository(stack.registry, "public/console")
    with closing(OciRegistries()) as registries:
        push_vector(registries.open_pusher(RegistryConnection("local", stack.registry)), repository, vector)
    stack.call(
        "system_create_node_platform", slug="console", arch="amd64", oci_repository=str(repository), trust=vector.trust
    )
    webhook = stack.call("provision_disk_image_webhook", label="console")
    announced = stack.announce(webhook, platform_slug="console", oci_ref=f"{repository}@{vector.digest}").json()
    delivery = stack.wait_for({announced["delivery_id"]}, seconds=60)[announced["delivery_id"]]
    publication_id = delivery["publication_id"]

    (link,) = re.findall(r"\[publication [^]]+\]\(([^)]+)\)", report_of(stack, publication_id))
    assert link == f"{stack.endpoints['api_url']}/app/publications/{publication_id}"
    with httpx.Client(follow_redirects=True) as http:
        asked = http.get(link)
        assert asked.url.path == "/app/login"
        token = Path(stack.endpoints["admin_token_file"]).read_text().strip()
        form = {"token": token, "next": asked.url.params["next"]}
        page = http.post(asked.url.copy_with(query=None), data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert str(page.url) == link
    assert page.status_code == 200
    assert vector.digest in page.text
