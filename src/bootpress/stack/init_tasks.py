"""What is done once at each start, in processes of their own so that the supervisor stays light.

python -m bootpress.stack.init_tasks catalog    migrate the database; an account, a token with every permission
python -m bootpress.stack.init_tasks prefect    once Prefect answers: work pool, deployments, block types
python -m bootpress.stack.init_tasks relay      start what a killed predecessor left, now and when its leases are over
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.core.accounts.service import authenticate, create_account, create_token
from bootpress.core.context import Context
from bootpress.core.database import Database
from bootpress.core.deliveries.attempts import launch_due
from bootpress.core.deliveries.leases import shorten_leases_after_restart
from bootpress.core.deliveries.rules import LEASE
from bootpress.core.errors import (
    BootpressError,
    CatalogUnavailable,
    OrchestratorUnavailable,
    Unauthenticated,
    Unavailable,
)
from bootpress.settings import Settings
from bootpress.stack.data import prefect_yaml_path
from bootpress.stack.home import Home, write_private

ACCOUNT: Final = "default"
PREFECT_SECONDS: Final = 170.0
RELAY_TRIES: Final = 5
RELAY_PAUSE_SECONDS: Final = 2.0
CATALOG_SECONDS: Final = 60.0
AGAIN_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


def prepare_catalog(settings: Settings) -> None:
    """Bring the database up to date, and leave the administrator's token in the home."""
    from bootpress.wiring import create_context  # noqa: PLC0415 - each task imports what it needs, and no more

    context = create_context(settings)
    migrate_when_available(context.catalog)
    account_id = create_account(context, ACCOUNT)
    path = Home(settings.home).admin_token
    if not _is_good(context, path):
        _, text = create_token(context, account_id=account_id, name="admin", permissions=["*"])
        write_private(path, f"{text}\n")
    elif path.stat().st_mode & 0o077:
        path.chmod(0o600)


def migrate_when_available(catalog: Database, *, seconds: float = CATALOG_SECONDS) -> None:
    """Migrate the database; one that is away is waited for, so long at most: it may be starting as we are."""
    from bootpress import schema  # noqa: PLC0415 - see above

    deadline = time.monotonic() + seconds
    while True:
        try:
            return schema.migrate(catalog)
        except CatalogUnavailable as error:
            if time.monotonic() > deadline:
                raise
            logger.warning("waiting for the database: %s", error.message)
            time.sleep(AGAIN_SECONDS)


def _is_good(context: Context, path: Path) -> bool:
    if path.is_symlink():  # what it leads to is somebody else's to protect
        return False
    try:
        return "*" in authenticate(context, path.read_text().strip()).permissions
    except (OSError, UnicodeDecodeError, Unauthenticated):
        return False


def prepare_prefect() -> None:
    """Apply prefect.yaml and register the block types; the imports are done while the server still starts."""
    from blocks import register_blocks  # noqa: PLC0415 - imports Prefect
    from bootpress.adapters.prefect_api.deployments import deploy, read_prefect_file  # noqa: PLC0415 - as above
    from bootpress.adapters.prefect_api.flow_runner import FlowCache  # noqa: PLC0415 - as above

    path = prefect_yaml_path()
    flows = FlowCache()
    for deployment in read_prefect_file(path).deployments:
        flows.load(deployment.entrypoint)
    _wait_for_prefect(PrefectApi.from_environment())
    deploy(path)
    register_blocks()


def _wait_for_prefect(api: PrefectApi) -> None:
    deadline = time.monotonic() + PREFECT_SECONDS
    while True:
        try:
            api.get("/health")
        except OrchestratorUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def relay_at_start(settings: Settings) -> None:
    """Start what waits, and again when the last lease and pause of a predecessor have run out."""
    from bootpress.wiring import create_context  # noqa: PLC0415 - see above

    context = create_context(settings)
    begun = time.monotonic()
    retry_while_unavailable(
        lambda: shorten_leases_after_restart(context),
        otherwise="what a predecessor launched or postponed waits out its own time",
    )
    _relay(context)
    time.sleep(max(0.0, begun + LEASE.total_seconds() + 1 - time.monotonic()))
    _relay(context)


def _relay(context: Context) -> None:
    def step() -> None:
        report = launch_due(context)
        logger.info("relayed %d deliveries, %d wait", report.launched, report.waiting)

    retry_while_unavailable(step, otherwise="nothing was relayed, and the schedule tries again every minute")


def retry_while_unavailable(step: Callable[[], None], *, otherwise: str, pause: float = RELAY_PAUSE_SECONDS) -> None:
    """Take a step, a few times while something it needs is away; give it up with a warning that says what follows."""
    reason = None
    for _ in range(RELAY_TRIES):
        try:
            return step()
        except Unavailable as error:
            reason = error
        time.sleep(pause)
    logger.warning("%s: %s", otherwise, reason)
    return None


def main(task: str) -> int:
    """Run one task; the reason of a failure is the last line printed."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        match task:
            case "catalog":
                prepare_catalog(Settings())
            case "prefect":
                prepare_prefect()
            case "relay":
                relay_at_start(Settings())
            case _:
                print(f"no task {task}", file=sys.stderr)  # noqa: T201 - read by the supervisor
                return 2
    except BootpressError as error:
        print(error, file=sys.stderr)  # noqa: T201 - read by the supervisor
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
