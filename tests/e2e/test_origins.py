"""What a web page can do to the servers of a running stack from a browser of this machine: nothing, one test each.

Three pages try: one of another port, one of another name of this machine, and one whose name was rebound to this
machine's address, so that for the browser it is of the server's own origin. The browser is signed in everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from bootpress.stack.home import Home
from bootpress.stack.ui import sign_in_pages
from tests.support.attack_page import FLAGS, Attempt, attack, foreign_page, read_by_page
from tests.support.browser import browser
from tests.support.listeners import listening_ports
from tests.support.processes import wait_for
from tests.support.running_stack import RetryWhileBusy, Stack

pytestmark = pytest.mark.part("chromium")
KEPT = "kept-by-its-owner"
"""Is in what each server holds, and must be in nothing that a page reads."""


@pytest.fixture
def chrome(stack: Stack, tmp_path: Path) -> Iterator[Chrome]:
    """Open a browser that is signed in at Prefect and at the console."""
    with browser(tmp_path, *FLAGS) as opened:
        for page in sign_in_pages(Home(stack.home)):
            opened.get(page.address)
        yield opened


@pytest.fixture
def foreign() -> Iterator[int]:
    with foreign_page() as port:
        yield port


def attack_from_everywhere(chrome: Chrome, foreign: int, url: str, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Try from the three pages; return what the third one read, after the others read nothing."""
    for host in ("127.0.0.1", "attacker.localhost"):
        chrome.get(f"http://{host}:{foreign}/")
        outcomes = attack(chrome, url, attempts)
        assert len(outcomes) >= len(attempts)
        assert read_by_page(outcomes) == {}
        assert [name for name, said in outcomes.items() if said == "no answer"] == []
    rebound = url.replace("127.0.0.1", "rebind.test")
    chrome.get(f"{rebound}/")
    assert chrome.current_url.startswith(rebound)
    read = read_by_page(attack(chrome, rebound, attempts))
    assert [name for name, said in read.items() if KEPT in said] == []
    return read


def unchanged(look: Callable[[], Any], act: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Act, and return what that returns; what is looked at must be the same before and after."""
    before = look()
    assert KEPT in json.dumps(before)
    read = act()
    assert look() == before
    return read


def test_a_page_of_another_origin_does_nothing_to_prefect(stack: Stack, chrome: Chrome, foreign: int) -> None:
    transport = RetryWhileBusy()
    with httpx.Client(base_url=stack.prefect_api, auth=stack.prefect_auth, timeout=30, transport=transport) as prefect:

        def ask(path: str, **query: Any) -> Any:
            return prefect.post(path, json=query).raise_for_status().json()

        prefect.post("/variables/", json={"name": "kept", "value": KEPT}).raise_for_status()
        deployment = prefect.get("/deployments/name/sweep-retention/daily").raise_for_status().json()["id"]
        attempts = [
            *(Attempt("read", path) for path in ("/api/admin/settings", "/api/variables/name/kept", "/api/health")),
            Attempt("write", "/api/variables/", body='{"name":"stolen","value":"x"}'),
            Attempt("write", "/api/variables/name/kept", method="PATCH", body='{"value":"stolen"}'),
            Attempt("write", "/api/block_documents/filter", body='{"include_secrets":true}'),
            Attempt("write", f"/api/deployments/{deployment}/create_flow_run", body='{"name":"stolen"}'),
            Attempt("socket", "/api/events/out", protocols=("prefect",)),
            Attempt("socket", "/api/events/in"),
        ]

        def look() -> list[Any]:
            stolen = {"flow_runs": {"name": {"any_": ["stolen"]}}}
            names = {"deployments": {"name": {"any_": ["daily"]}}}
            return [
                ask("/variables/filter"),
                ask("/flow_runs/filter", **stolen),
                len(ask("/deployments/filter", **names)),
            ]

        read = unchanged(
            look, lambda: attack_from_everywhere(chrome, foreign, stack.endpoints["prefect_url"], attempts)
        )
        assert read
        assert [name for name, said in read.items() if "the Host 'rebind.test" not in said] == []
        prefect.delete("/variables/name/kept").raise_for_status()
    chrome.get(f"http://127.0.0.1:{foreign}/")
    chrome.execute_script("location = arguments[0]", stack.endpoints["prefect_url"])
    wait_for(lambda: chrome.current_url.startswith(stack.endpoints["prefect_url"]), what="the link leads to Prefect")
    wait_for(lambda: "Flow Runs" in chrome.find_element(By.TAG_NAME, "body").text, what="its page is open, signed in")


def test_a_page_of_another_origin_does_nothing_to_the_registry(stack: Stack, chrome: Chrome, foreign: int) -> None:
    name = f"os/{KEPT}"
    digest = push_small_image(stack.registry, name)
    attempts = [
        *(Attempt("read", path) for path in ("/v2/_catalog", f"/v2/{name}/tags/list", f"/v2/{name}/manifests/v1")),
        Attempt("write", "/v2/os/stolen/blobs/uploads/"),
        Attempt("write", f"/v2/{name}/manifests/{digest}", method="DELETE"),
        Attempt("write", f"/v2/{name}/manifests/v1", method="PUT", body='{"schemaVersion":2}'),
        Attempt("socket", "/v2/"),
    ]

    def look() -> list[str]:
        return sorted(str(path) for path in (stack.home / "registry").rglob("*"))

    read = unchanged(look, lambda: attack_from_everywhere(chrome, foreign, f"http://{stack.registry}", attempts))
    assert read
    assert [name for name, said in read.items() if "the Host 'rebind.test" not in said] == []


def test_a_page_of_another_origin_does_nothing_to_the_api(stack: Stack, chrome: Chrome, foreign: int) -> None:
    webhook = stack.call("provision_disk_image_webhook", label=KEPT)
    minting = '{"name":"stolen","permissions":["*"]}'
    attempts = [
        *(Attempt("read", path) for path in ("/api/v1/operations", "/metrics", "/api/openapi.json", "/healthz")),
        Attempt("write", "/api/v1/operations/create_api_token", body=minting),
        Attempt("write", "/api/v1/operations/system_list_disk_image_webhooks"),
        Attempt("write", webhook["webhook_url"].removeprefix(stack.endpoints["api_url"]), body='{"platform_slug":"x"}'),
        Attempt("socket", "/api/v1/operations"),
    ]

    def look() -> list[Any]:
        names = ("list_api_tokens", "system_list_disk_image_webhooks", "system_list_disk_image_deliveries")
        return [without_times(stack.call(one)) for one in names]

    read = unchanged(look, lambda: attack_from_everywhere(chrome, foreign, stack.endpoints["api_url"], attempts))
    open_to_all = {name: said for name, said in read.items() if said.startswith("read 200")}
    assert {name.rpartition(" ")[2] for name in open_to_all} <= {"/healthz"}


def test_a_page_of_another_origin_does_nothing_to_the_console(stack: Stack, chrome: Chrome, foreign: int) -> None:
    stack.call("provision_disk_image_webhook", label=KEPT)
    token = stack.call("create_api_token", name=KEPT, permissions=["system.disk_image_publications.read"])["token"]
    url = stack.endpoints["api_url"]
    chrome.get(f"{url}/app")
    session = chrome.get_cookie("bootpress_session")
    assert session is not None, "the browser is not signed in at the console"
    attempts = [
        *(Attempt("read", path) for path in ("/app/publications", "/app", "/app/sign-in?code=x")),
        Attempt("write", "/app/logout"),
        Attempt("write", "/app/login", body=json.dumps({"token": token})),
        Attempt("socket", "/app"),
    ]
    read = unchanged(
        lambda: without_times(stack.call("list_api_tokens")),
        lambda: attack_from_everywhere(chrome, foreign, url, attempts),
    )
    assert read
    assert [name for name, said in read.items() if "Log out" in said] == []
    chrome.get(f"{url}/app/publications")
    assert chrome.find_element(By.TAG_NAME, "h1").text == "Newest publications"
    assert chrome.get_cookie("bootpress_session") == session


def test_the_embedded_forge_listens_nowhere(stack: Stack) -> None:
    """And everything else on loopback alone, at the ports that the endpoints name."""
    stack.call("system_connect_forge", name="origins", kind="local")
    named = {httpx.URL(stack.endpoints[one]).port for one in ("api_url", "prefect_url")}
    named.add(int(stack.registry.rpartition(":")[2]))
    assert listening_ports(stack.program.pid) == {("127.0.0.1", port) for port in named}


def push_small_image(registry: str, name: str) -> str:
    """Push an image of two bytes as any client does; return its digest."""
    with httpx.Client(base_url=f"http://{registry}") as http:
        blob = b"{}"
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        begun = http.post(f"/v2/{name}/blobs/uploads/")
        assert begun.status_code == httpx.codes.ACCEPTED, begun.text
        place = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
        assert place.netloc == registry.encode(), "uploads go where the request came to"
        assert http.put(place, content=blob).status_code == httpx.codes.CREATED
        kind = "application/vnd.oci.image.manifest.v1+json"
        config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": len(blob)}
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
        put = http.put(f"/v2/{name}/manifests/v1", json=manifest, headers={"Content-Type": kind})
        assert put.status_code == httpx.codes.CREATED, put.text
        return put.headers["docker-content-digest"]


def without_times(answer: Any) -> Any:
    """Return an answer without the moments at which a token was last used."""
    if isinstance(answer, dict):
        return {key: without_times(value) for key, value in answer.items() if key != "last_used_at"}
    return [without_times(one) for one in answer] if isinstance(answer, list) else answer
