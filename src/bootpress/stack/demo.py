"""`bootpress demo`: the life of one image on real parts, in a scratch home, step by step."""

from __future__ import annotations

import hmac
import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.oci import OciRegistries
from bootpress.core.errors import BootpressError
from bootpress.core.references import Repository
from bootpress.stack import sample_image
from bootpress.stack.scratch import running_up, scratch_home
from bootpress.surfaces.cli.calling import Target, call

INGEST_SECONDS: Final = 90.0
SLUG: Final = "demo-amd64"


class DemoFailed(BootpressError):
    """A step of the demo did not hold."""


@dataclass(slots=True)
class Stage:
    """What the steps share."""

    console: Console
    home: Path
    endpoints: dict[str, Any]
    folder: Path
    registries: OciRegistries
    slug: str = SLUG
    key: SigningKey = field(default_factory=SigningKey.create)

    @property
    def workshop(self) -> sample_image.Workshop:
        """Return where images are made."""
        repository = Repository(str(self.endpoints["registry"]), f"os/disk-images/{self.slug}")
        return sample_image.Workshop(self.folder, repository, self.registries)

    def call(self, name: str, **fields: Any) -> dict[str, Any]:
        """Call an operation with the admin's token."""
        token = Path(self.endpoints["admin_token_file"]).read_text().strip()
        return call(Target(str(self.endpoints["api_url"]), token), name, fields)

    @contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Print one line for a step that held, with its time; what the block appends stands behind it."""
        begun = time.monotonic()
        notes: list[str] = []
        yield notes
        seconds = f"{time.monotonic() - begun:6.2f} s"
        self.console.print(f"[green]✓[/] {text:<44} [dim]{seconds}[/]  {'  '.join(notes)}", soft_wrap=True)


def demo(home: Path | None, *, keep: bool) -> int:
    """Run every step; return 0 only if each one held. With `keep` the stack goes on until Ctrl-C, or its own end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    with (
        scratch_home(home, console, keep=keep) as scratch,
        running_up(console, scratch) as endpoints,
        tempfile.TemporaryDirectory() as folder,
        closing(OciRegistries()) as registries,
    ):
        stage = Stage(console, scratch, endpoints, Path(folder), registries)
        if not endpoints.get("registry"):
            raise DemoFailed("the demo needs a registry", hint="install docker-registry, or run `make demo`")
        if not keep:
            _show_links(stage)
            _live(stage)
            console.print("\nIt all ends here. To look at it longer: `bootpress demo --keep` (`make demo ARGS=--keep`)")
            return 0
        return _live_and_stay(stage)


def _live_and_stay(stage: Stage) -> int:
    """Tell the life of one image, and leave everything running to look at, a failure above all."""
    code = 0
    try:
        _live(stage)
    except BootpressError as error:
        code = 1
        stage.console.print(f"[red]✗[/] {escape(str(error))}", soft_wrap=True, highlight=False)
    _show_links(stage)
    stage.console.print(f"Try: {_command('call', 'recent_events', '--home', str(stage.home))}", soft_wrap=True)
    stage.console.print("Ctrl-C stops it.")
    with suppress(KeyboardInterrupt):
        os.waitid(os.P_PID, int(stage.endpoints["pids"]["up"]), os.WEXITED | os.WNOWAIT)
        raise DemoFailed("bootpress up ended by itself", hint=f"its logs lie in {stage.home / 'logs'}")
    return code


def _command(*words: str) -> str:
    """Return a command line that works where this demo does, whatever PATH says."""
    program = Path(sys.prefix) / "bin" / "bootpress"
    return shlex.join([str(program), *words] if program.exists() else [sys.executable, "-m", "bootpress", *words])


def _live(stage: Stage) -> None:
    """Tell the life of one image."""
    with stage.step("platform and webhook") as notes:
        stage.slug = _free_slug(stage)
        platform = stage.call(
            "system_create_node_platform",
            slug=stage.slug,
            arch="amd64",
            oci_repository=str(stage.workshop.repository),
            trust={"mode": "keys", "public_keys": [stage.key.public_pem]},
        )["node_platform"]["id"]
        webhook = stage.call("provision_disk_image_webhook", label="demo")
        notes.append(f"{stage.slug} trusts one key")
    first = _publish(stage, webhook, platform, "v1", "1" * 40)
    second = _publish(stage, webhook, platform, "v2", "2" * 40)
    _tamper(stage, webhook, "v3", "3" * 40)
    with stage.step("set the second as default") as notes:
        stage.call("system_set_default_disk_image_publication", publication_id=second)
        _expect(stage, second, "is_default", value=True)
        notes.append(second)
    with stage.step("keep one publication, and sweep") as notes:
        stage.call("system_set_disk_image_retention", node_platform_id=stage.slug, retention_count=1)
        swept = stage.call("system_sweep_disk_image_retention", node_platform_id=stage.slug)
        _expect(stage, first, "status", value="retired")
        notes.append(f"{len(swept['retired'])} retired")
    with stage.step("restore the first") as notes:
        stage.call("system_restore_disk_image_publication", publication_id=first)
        _expect(stage, first, "status", value="published")
        notes.append("published again")
    _show_events(stage)


def _free_slug(stage: Stage) -> str:
    """Return a slug that no platform of the home has: a demo may have been here before."""
    taken = {one["slug"] for one in stage.call("system_list_node_platforms")["node_platforms"]}
    if SLUG not in taken:
        return SLUG
    return next(slug for slug in (f"{SLUG}-{number}" for number in itertools.count(2)) if slug not in taken)


def _publish(stage: Stage, webhook: dict[str, Any], platform: str, tag: str, commit: str) -> str:
    """Build, push, sign and announce an image; return the id of the publication it became."""
    with stage.step(f"build and push {tag}") as notes:
        image = _with_bar(stage, f"push {tag}", lambda advance: stage.workshop.push(tag, advance))
        notes.append(image.digest[:19])
    with stage.step(f"sign {tag}") as notes:
        stage.workshop.sign(stage.key, image)
        notes.append(_cosign_says(stage, image.digest))
    with stage.step(f"announce {tag}, until published") as notes:
        delivery = _wait(stage, _announce(stage, webhook, tag, commit), commit)
        if delivery["status"] != "done":
            raise _failed(stage, delivery, commit, f"{tag} was not published")
        publication = _expect(stage, delivery["publication_id"], "status", value="published")
        if not publication["cosign_verified"] or publication["node_platform_id"] != platform:
            raise DemoFailed(f"{tag} was published without proof")
        notes.append(_run_link(stage, commit))
    return str(delivery["publication_id"])


def _tamper(stage: Stage, webhook: dict[str, Any], tag: str, commit: str) -> None:
    """Sign one image, push another under its tag with that signature, and see it rejected."""
    with stage.step(f"tamper with {tag}: other bytes, old signature"):
        signed = stage.workshop.push(f"{tag}-signed", lambda _: None)
        signature = stage.workshop.sign(stage.key, signed)
        stage.workshop.forge(signature, stage.workshop.push(tag, lambda _: None))
    with stage.step(f"announce {tag}, until rejected") as notes:
        delivery = _wait(stage, _announce(stage, webhook, tag, commit), commit)
        if delivery["status"] != "failed":
            raise _failed(stage, delivery, commit, f"the tampered {tag} was not rejected")
        notes.append(_run_link(stage, commit))
    stage.console.print(f"  [yellow]rejected:[/] {escape(delivery['error_message'])}", highlight=False)


def _announce(stage: Stage, webhook: dict[str, Any], tag: str, commit: str) -> str:
    said = {"platform_slug": stage.slug, "oci_ref": f"{stage.workshop.repository}:{tag}", "git_sha": commit}
    body = json.dumps(said).encode()
    signature = hmac.digest(webhook["webhook_secret"].encode(), body, "sha256").hex()
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
    try:
        answer = httpx.post(webhook["webhook_url"], content=body, headers=headers, trust_env=False)
    except httpx.HTTPError as error:
        logs = stage.home / "logs"
        raise DemoFailed(f"the webhook did not answer: {type(error).__name__}", hint=f"the logs: {logs}") from error
    if answer.status_code != httpx.codes.ACCEPTED:
        raise DemoFailed(f"the webhook answered {answer.status_code}: {answer.text[:200]}")
    return str(answer.json()["delivery_id"])


def _wait(stage: Stage, delivery_id: str, commit: str) -> dict[str, Any]:
    deadline = time.monotonic() + INGEST_SECONDS
    while True:
        listed = stage.call("system_list_disk_image_deliveries", limit=20)["deliveries"]
        delivery: dict[str, Any] = next(one for one in listed if one["id"] == delivery_id)
        if delivery["status"] in {"done", "failed"}:
            return delivery
        if time.monotonic() > deadline:
            raise _failed(stage, delivery, commit, f"the announcement was not finished within {INGEST_SECONDS:.0f} s")
        time.sleep(0.05)


def _failed(stage: Stage, delivery: dict[str, Any], commit: str, what: str) -> DemoFailed:
    """Return the failure of an announcement with all that is known of it, and where more is to be found."""
    told = f"{what}: delivery {delivery['id']} is {delivery['status']} after {delivery['attempt_count']} attempts"
    reason = delivery["error_message"]
    link = _run_link(stage, commit)
    run = f"its run: {link}; " if link else ""
    return DemoFailed(f"{told}: {reason}" if reason else told, hint=f"{run}the logs: {stage.home / 'logs'}")


def _expect(stage: Stage, publication_id: str, name: str, *, value: object) -> dict[str, Any]:
    publication: dict[str, Any] = stage.call("system_get_disk_image_publication", id=publication_id)["publication"]
    if publication[name] != value:
        raise DemoFailed(f"publication {publication_id} has {name} {publication[name]!r}, not {value!r}")
    return publication


def _with_bar(stage: Stage, text: str, push: Callable[[Callable[[int], None]], Any]) -> Any:
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=stage.console, transient=True, disable=not stage.console.is_terminal) as progress:
        task = progress.add_task(text, total=sample_image.SIZE)
        return push(lambda count: progress.advance(task, count))


def _cosign_says(stage: Stage, digest: str) -> str:
    """Let real cosign check the signature, where it is found."""
    cosign = shutil.which("cosign")
    if cosign is None:
        return "[dim](no cosign here to check it too)[/]"
    key = stage.folder / "cosign.pub"
    key.write_text(stage.key.public_pem)
    reference = stage.workshop.repository.at(digest)
    words = [cosign, "verify", "--key", str(key), "--insecure-ignore-tlog=true", "--allow-http-registry", reference]
    checked = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if checked.returncode != 0:
        raise DemoFailed(f"cosign does not accept the signature: {checked.stderr.strip()[-300:]}")
    return "cosign agrees"


def _run_link(stage: Stage, commit: str) -> str:
    """Return the link to the newest flow run of a commit in the Prefect UI, or nothing where none can be found."""
    prefect = str(stage.endpoints["prefect_url"]).rstrip("/")
    query = {"flow_runs": {"name": {"like_": commit[:12]}}, "sort": "START_TIME_DESC", "limit": 1}
    try:
        found = httpx.post(f"{prefect}/api/flow_runs/filter", json=query, trust_env=False, timeout=10).json()
        return f"{prefect}/runs/flow-run/{found[0]['id']}"
    except (httpx.HTTPError, ValueError, LookupError):
        return ""


def _show_events(stage: Stage) -> None:
    table = Table("when", "event", "severity", title="recent_events, newest first", title_justify="left")
    table.add_column("about", no_wrap=True, overflow="ellipsis")
    for event in stage.call("recent_events", kind_prefix="system.disk_image")["events"]:
        payload = event["payload"]
        about = payload.get("error_message") or payload.get("oci_digest") or ""
        kind = event["kind"].removeprefix("system.disk_image_")
        table.add_row(event["occurred_at"][11:19], kind, event["severity"], escape(str(about)))
    stage.console.print(table)


def _show_links(stage: Stage) -> None:
    prefect = stage.endpoints["prefect_url"]
    stage.console.print(f"Prefect UI (runs, deployments, artifacts): {prefect}", soft_wrap=True)
    where = f"{stage.endpoints['api_url']}/app    token: {stage.endpoints['admin_token_file']}"
    stage.console.print(f"Console (publications): {where}", soft_wrap=True)
    stage.console.print(f"API: {stage.endpoints['api_url']}", soft_wrap=True)
