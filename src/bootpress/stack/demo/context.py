"""What the steps of the demo share: the running stack, how a step is told, how it is waited for and looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.oci import OciRegistries
from bootpress.core.errors import BootpressError
from bootpress.core.references import Repository
from bootpress.entrypoints.cli.client import ApiTarget, call
from bootpress.stack import sample_image
from bootpress.stack.home import Home

SLUG: Final = "demo-amd64"
IMAGES: Final = "os/disk-images"
POLL_SECONDS: Final = 0.05


class DemoFailed(BootpressError):
    """A step of the demo did not hold."""


@dataclass(slots=True)
class DemoContext:
    """What the steps share."""

    console: Console
    home: Path
    endpoints: dict[str, Any]
    folder: Path
    registries: OciRegistries
    slug: str = SLUG
    key: SigningKey = field(default_factory=SigningKey.create)

    @property
    def workshop(self) -> sample_image.SampleImageBuilder:
        """Return where images are made."""
        repository = Repository(str(self.endpoints["registry"]), f"{IMAGES}/{self.slug}")
        return sample_image.SampleImageBuilder(self.folder, repository, self.registries)

    @property
    def logs(self) -> Path:
        """Return where the logs of the stack lie."""
        return self.home / "logs"

    @property
    def prefect_url(self) -> str:
        """Return the base of the Prefect UI."""
        return str(self.endpoints["prefect_url"]).rstrip("/")

    def call(self, name: str, **fields: Any) -> dict[str, Any]:
        """Call an operation with the admin's token."""
        file = Path(self.endpoints["admin_token_file"])
        return call(ApiTarget(str(self.endpoints["api_url"]), file.read_text().strip(), file), name, fields)

    def ask_prefect(self, method: str, path: str, query: dict[str, Any] | None = None) -> Any:
        """Ask Prefect's API; None where it does not answer as it should."""
        url = f"{self.prefect_url}/api{path}"
        user, _, password = Home(self.home).prefect_auth_string().partition(":")
        try:
            answer = httpx.request(method, url, json=query, auth=(user, password), trust_env=False, timeout=10)
            return answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return None

    def flow_run_link(self, flow_run_id: str) -> str:
        """Return the page of a flow run in the Prefect UI."""
        return f"{self.prefect_url}/runs/flow-run/{flow_run_id}"

    @contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Print one line for a step that held, with its time; what the block appends stands behind it."""
        begun = time.monotonic()
        notes: list[str] = []
        yield notes
        seconds = f"{time.monotonic() - begun:6.2f} s"
        self.console.print(f"[green]✓[/] {text:<44} [dim]{seconds}[/]  {'  '.join(notes)}", soft_wrap=True)

    def expect(self, publication_id: str, name: str, *, value: object) -> dict[str, Any]:
        """Return a publication whose field has the value; DemoFailed for any other."""
        publication: dict[str, Any] = self.call("system_get_disk_image_publication", id=publication_id)["publication"]
        if publication[name] != value:
            raise DemoFailed(f"publication {publication_id} has {name} {publication[name]!r}, not {value!r}")
        return publication


def wait_until(look: Callable[[], bool], *, seconds: float) -> bool:
    """Look again and again until it is so; tell whether it was in time."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
