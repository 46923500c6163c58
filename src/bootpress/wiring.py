"""Where adapters meet the core: the only place that chooses implementations."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bootpress.core.models  # noqa: F401 - the mapper must know every table before the first query
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.adapters.forges.embedded import RunLimits, RunScheduler, RunSchedulers
from bootpress.adapters.forges.factory import ConnectionForgeFactory
from bootpress.adapters.oci import OciRegistries
from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.connections import PrefectConnections
from bootpress.adapters.prefect_api.events import PrefectEvents
from bootpress.adapters.prefect_api.launcher import PrefectLauncher
from bootpress.adapters.prefect_api.wakeup import wakeup_path
from bootpress.adapters.runner_hosts import DockerHosts
from bootpress.core.builds.callbacks import BuildAwareLauncher
from bootpress.core.context import Context, Limits
from bootpress.core.database import Database
from bootpress.core.encryption import SecretCipher
from bootpress.packaged import build_repository
from bootpress.settings import Settings

ENDPOINTS = "endpoints.json"
DEFAULT_PORT = 8480


class SystemClock:
    """The machine's time."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return datetime.now(UTC)


def create_context(settings: Settings) -> Context:
    """Wire the real adapters; nothing is contacted yet. One context per process is enough, and shared by threads.

    Raises OrchestratorUnavailable when PREFECT_API_URL is not set.
    """
    prefect = PrefectApi.from_environment()
    catalog = Database(settings.catalog_url)
    return Context(
        catalog=catalog,
        clock=SystemClock(),
        secrets=SecretCipher(settings.encryption_keys),
        verifier=CosignVerifier(),
        forges=create_forge_factory(settings),
        runner_hosts=DockerHosts(settings.docker_host),
        registries=OciRegistries(docker_config=settings.docker_config),
        connections=PrefectConnections(prefect),
        launcher=BuildAwareLauncher(PrefectLauncher(prefect, wakeup=wakeup_path(settings.home)), catalog),
        event_sink=PrefectEvents(prefect),
        public_url=public_url(settings),
        limits=limits(settings),
        local_registry=lambda: local_registry(settings),
        build_repository=build_repository,
        runner_image=settings.runner_image,
    )


def limits(settings: Settings) -> Limits:
    """Return the bounds that an installation sets."""
    return Limits(
        launches_in_flight=settings.launches_in_flight,
        webhook_daily_bytes=settings.webhook_daily_mib * 1024 * 1024,
        delivery_days=settings.delivery_days,
        deliveries_kept=settings.deliveries_kept,
        event_days=settings.event_days,
        events_kept=settings.events_kept,
    )


def create_forge_factory(settings: Settings) -> ConnectionForgeFactory:
    """Return what opens forges; nothing is contacted yet."""
    return ConnectionForgeFactory(local_folder=_forge_folder(settings), box=SecretCipher(settings.encryption_keys))


def create_run_schedulers(settings: Settings) -> RunSchedulers:
    """Return what runs the workflows of every account's embedded forge; for the process that is to do so."""
    bounds = RunLimits(
        wait_hours=settings.run_wait_hours, wait_hours_without_worker=settings.run_wait_hours_without_worker
    )
    make = functools.partial(
        RunScheduler, box=SecretCipher(settings.encryption_keys), docker=settings.docker_host, bounds=bounds
    )
    return RunSchedulers(_forge_folder(settings).absolute(), make)


def _forge_folder(settings: Settings) -> Path:
    return settings.home / "forge"


@functools.cache
def get_context() -> Context:
    """Return the context of this process, wired from its environment at the first call."""
    return create_context(Settings())


def public_url(settings: Settings) -> str:
    """Return the base of the URLs that others call: as configured, else of the running API, else where it would be."""
    if settings.public_url is not None:
        return settings.public_url.rstrip("/")
    running = _endpoints(settings.home).get("api_url")
    return str(running) if running else f"http://{settings.host}:{settings.port or DEFAULT_PORT}"


def local_registry(settings: Settings) -> str | None:
    """Return `host:port` of the registry of this installation: as configured, else the one that runs beside us."""
    running = _endpoints(settings.home).get("registry")
    return settings.registry or (str(running) if running else None)


def _endpoints(home: Path) -> dict[str, Any]:
    try:
        found = json.loads((home / ENDPOINTS).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
