"""A real `bootpress up` in a folder, and what a pipeline and an operator do with it."""

from __future__ import annotations

import hmac
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from bootpress.core.accounts import service as accounts
from bootpress.settings import Settings
from bootpress.wiring import create_context
from tests.support.processes import Program

START_SECONDS = 90
CLIENTS = 8
BUSY_TRIES = 120
FINISHED = frozenset({"done", "failed"})


class RetryWhileBusy(httpx.HTTPTransport):
    """Sends a request again while the answer is 503: on SQLite, Prefect says so as soon as two writes meet."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        for _ in range(BUSY_TRIES):
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            response.close()
            time.sleep(0.25)
            response = super().handle_request(request)
        return response


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that said it is ready."""

    home: Path
    program: Program
    endpoints: dict[str, Any]
    token: str | None = None
    """Whose calls these are; the admin's where there is none."""

    @property
    def registry(self) -> str:
        """Return the local registry's host and port."""
        return str(self.endpoints["registry"])

    @property
    def prefect_api(self) -> str:
        """Return the URL of Prefect's API."""
        return f"{self.endpoints['prefect_url']}/api"

    @property
    def prefect_auth(self) -> tuple[str, str]:
        """Return user and password of Prefect's API."""
        user, _, password = self.prefect_auth_string.partition(":")
        return user, password

    @property
    def prefect_auth_string(self) -> str:
        """Return what Prefect wants to hear, as the home keeps it."""
        return (self.home / "prefect.auth").read_text().strip()

    def call(self, name: str, /, **fields: Any) -> dict[str, Any]:
        """Call an operation; raises for any answer but success."""
        token = self.token or Path(self.endpoints["admin_token_file"]).read_text().strip()
        url = f"{self.endpoints['api_url']}/api/v1/operations/{name}"
        answer = httpx.post(url, json=fields, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def as_account(self, name: str) -> Stack:
        """Return the stack as another account with every permission sees it; the account is made if there is none."""
        os.environ["PREFECT_API_URL"] = f"{self.endpoints['prefect_url']}/api"
        try:
            context = create_context(Settings(home=self.home))
        finally:
            del os.environ["PREFECT_API_URL"]
        account_id = accounts.create_account(context, name)
        _, token = accounts.create_token(context, account_id=account_id, name="tests", permissions=["*"])
        context.catalog.close()
        return replace(self, token=token)

    def announce(self, webhook: dict[str, Any], **said: Any) -> httpx.Response:
        """Post a signed delivery."""
        body = json.dumps(said).encode()
        signature = hmac.digest(webhook["webhook_secret"].encode(), body, "sha256").hex()
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
        return httpx.post(webhook["webhook_url"], content=body, headers=headers, timeout=30)

    def announce_all(self, webhook: dict[str, Any], said: Sequence[Mapping[str, str]]) -> set[str]:
        """Post many signed deliveries at once, over few connections; return their ids."""

        def post(one: Mapping[str, str]) -> str:
            body = json.dumps(one).encode()
            signature = hmac.digest(webhook["webhook_secret"].encode(), body, "sha256").hex()
            headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
            answer = client.post(webhook["webhook_url"], content=body, headers=headers).raise_for_status()
            return str(answer.json()["delivery_id"])

        with httpx.Client(timeout=60) as client, ThreadPoolExecutor(CLIENTS) as pool:
            return set(pool.map(post, said))

    def deliveries(self) -> dict[str, dict[str, Any]]:
        """Return all deliveries by id."""
        found: dict[str, dict[str, Any]] = {}
        cursor: dict[str, Any] = {}
        while True:
            page = self.call("system_list_disk_image_deliveries", limit=500, **cursor)
            found |= {one["id"]: one for one in page["deliveries"]}
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def wait_for(self, delivery_ids: set[str], *, seconds: float) -> dict[str, dict[str, Any]]:
        """Wait until deliveries are finished; return them by id."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = {key: one for key, one in self.deliveries().items() if key in delivery_ids}
            if len(found) == len(delivery_ids) and all(one["status"] in FINISHED for one in found.values()):
                return found
            time.sleep(0.2)
        raise AssertionError(f"not finished within {seconds} s: {[one['status'] for one in found.values()]}")


@contextmanager
def running_stack(home: Path, extra: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Run `bootpress up` in a home until the end of the block, then stop it as an operator does.

    `extra` goes into its environment.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "endpoints.json").unlink(missing_ok=True)
    environment = dict(os.environ) | {"HOME": str(home.parent), "NO_COLOR": "1"} | dict(extra or {})
    log = home.parent / f"{home.name}-up.log"
    log.unlink(missing_ok=True)
    with Program([sys.executable, "-m", "bootpress", "up", "--home", home], log=log, env=environment) as program:
        program.wait_until(lambda: "ready: " in program.output, what="bootpress is ready", seconds=START_SECONDS)
        yield Stack(home, program, json.loads((home / "endpoints.json").read_text()))
