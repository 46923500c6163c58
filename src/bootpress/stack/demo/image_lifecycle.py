"""The life of one image: made, signed, announced, published, promoted, retired and restored; and a false one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from bootpress.stack import sample_image
from bootpress.stack.demo.context import SLUG, DemoContext, DemoFailed, wait_until
from bootpress.stack.demo.cosign import check_with_cosign
from bootpress.stack.errors import StackFailed
from bootpress.stack.sample_webhook import post_delivery

INGEST_SECONDS: Final = 90.0


def run_image_lifecycle(stage: DemoContext) -> str:
    """Tell the life of one image; return the id of the platform that it is of."""
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
        stage.expect(second, "is_default", value=True)
        notes.append(second)
    with stage.step("keep one publication, and sweep") as notes:
        stage.call("system_set_disk_image_retention", node_platform_id=stage.slug, retention_count=1)
        swept = stage.call("system_sweep_disk_image_retention", node_platform_id=stage.slug)
        stage.expect(first, "status", value="retired")
        notes.append(f"{len(swept['retired'])} retired")
    with stage.step("restore the first") as notes:
        stage.call("system_restore_disk_image_publication", publication_id=first)
        stage.expect(first, "status", value="published")
        notes.append("published again")
    return str(platform)


def _free_slug(stage: DemoContext) -> str:
    """Return a slug that no platform of the home has: a demo may have been here before."""
    taken = {one["slug"] for one in stage.call("system_list_node_platforms", limit=500)["node_platforms"]}
    if SLUG not in taken:
        return SLUG
    return next(slug for slug in (f"{SLUG}-{number}" for number in itertools.count(2)) if slug not in taken)


def _publish(stage: DemoContext, webhook: dict[str, Any], platform: str, tag: str, commit: str) -> str:
    """Build, push, sign and announce an image; return the id of the publication it became."""
    with stage.step(f"build and push {tag}") as notes:
        image = _with_bar(stage, f"push {tag}", lambda advance: stage.workshop.push(tag, advance))
        notes.append(image.digest[:19])
    with stage.step(f"sign {tag}") as notes:
        stage.workshop.sign(stage.key, image)
        notes.append(check_with_cosign(stage, image.digest, stage.key.public_pem))
    with stage.step(f"announce {tag}, until published") as notes:
        delivery = _wait(stage, _announce(stage, webhook, tag, commit), commit)
        if delivery["status"] != "done":
            raise _failed(stage, delivery, commit, f"{tag} was not published")
        publication = stage.expect(delivery["publication_id"], "status", value="published")
        if not publication["cosign_verified"] or publication["node_platform_id"] != platform:
            raise DemoFailed(f"{tag} was published without proof")
        notes.append(_run_link(stage, commit))
    return str(delivery["publication_id"])


def _tamper(stage: DemoContext, webhook: dict[str, Any], tag: str, commit: str) -> None:
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


def _failed(stage: DemoContext, delivery: dict[str, Any], commit: str, what: str) -> DemoFailed:
    """Return the failure of an announcement with all that is known of it, and where more is to be found."""
    told = f"{what}: delivery {delivery['id']} is {delivery['status']} after {delivery['attempt_count']} attempts"
    reason = delivery["error_message"]
    link = _run_link(stage, commit)
    run = f"its run: {link}; " if link else ""
    return DemoFailed(f"{told}: {reason}" if reason else told, hint=f"{run}the logs: {stage.logs}")


def _with_bar(stage: DemoContext, text: str, push: Callable[[Callable[[int], None]], Any]) -> Any:
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=stage.console, transient=True, disable=not stage.console.is_terminal) as progress:
        task = progress.add_task(text, total=sample_image.SIZE)
        return push(lambda count: progress.advance(task, count))


def _announce(stage: DemoContext, webhook: dict[str, Any], tag: str, commit: str) -> str:
    said = {"platform_slug": stage.slug, "oci_ref": f"{stage.workshop.repository}:{tag}", "git_sha": commit}
    try:
        return post_delivery(webhook["webhook_url"], webhook["webhook_secret"], said)
    except StackFailed as error:
        raise DemoFailed(error.message, hint=f"the logs: {stage.logs}") from error


def _wait(stage: DemoContext, delivery_id: str, commit: str) -> dict[str, Any]:
    delivery: dict[str, Any] = {}

    def is_finished() -> bool:
        listed = stage.call("system_list_disk_image_deliveries", limit=20)["deliveries"]
        delivery.update(next(one for one in listed if one["id"] == delivery_id))
        return delivery["status"] in {"done", "failed"}

    if not wait_until(is_finished, seconds=INGEST_SECONDS):
        raise _failed(stage, delivery, commit, f"the announcement was not finished within {INGEST_SECONDS:.0f} s")
    return delivery


def _run_link(stage: DemoContext, commit: str) -> str:
    """Return the link to the newest flow run of a commit in the Prefect UI, or nothing where none can be found."""
    query = {"flow_runs": {"name": {"like_": commit[:12]}}, "sort": "START_TIME_DESC", "limit": 1}
    found = stage.ask_prefect("POST", "/flow_runs/filter", query)
    return stage.flow_run_link(found[0]["id"]) if found else ""
