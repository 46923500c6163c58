"""`bootpress doctor`: one line each for everything that bootpress stands on, with what to do where it is not well."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.text import Text

from bootpress import schema
from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.connections import PrefectConnections
from bootpress.adapters.runner_hosts import DockerHosts
from bootpress.core.database import Database
from bootpress.core.errors import BootpressError, InvalidInput
from bootpress.settings import Settings
from bootpress.stack import doctor_ci, doctor_webhooks, registry
from bootpress.stack.check_result import CheckResult, CheckStatus, run_check
from bootpress.stack.claiming import Standing, is_home, judge
from bootpress.stack.environment import absolute, configured, without_password
from bootpress.stack.home import Home
from bootpress.wiring import create_forge_factory, limits

POOL: Final = "bootpress"
PUBLIC_GOOD: Final = "https://tuf-repo-cdn.sigstore.dev/timestamp.json"
SECONDS: Final = 5.0


def doctor(settings: Settings) -> int:
    """Look at everything, print a line each, return 1 if something that is needed is not well."""
    console = Console(highlight=False)
    colours = {CheckStatus.OK: "green", CheckStatus.WARN: "yellow", CheckStatus.FAIL: "red"}
    found = []
    for finding in examine(settings):
        found.append(finding.health)
        hint = f" → {finding.hint}" if finding.hint else ""
        line = Text.assemble(
            (f"{finding.health:<5}", colours[finding.health]), f"{finding.name:<20}{finding.detail}", (hint, "dim")
        )
        console.print(line, soft_wrap=True)
    return 1 if CheckStatus.FAIL in found else 0


def examine(settings: Settings, base: Mapping[str, str] = os.environ) -> Iterator[CheckResult]:
    """Look at one thing after the other; whatever goes wrong becomes a finding."""
    settings = absolute(settings)
    home = Home(settings.home)
    yield _home(home)
    endpoints = home.read_endpoints() if home.is_locked() else None
    yield _stack(home, endpoints)
    if not configured(base):
        yield _prefect_string(home, base)
    yield run_check("database", lambda: _database(settings))
    yield from _webhooks(settings)
    yield from _prefect(settings, base, endpoints)
    yield _registry(settings, home, endpoints)
    yield _public_good()
    yield from _programs(home)


def _home(home: Home) -> CheckResult:
    folder = home.folder
    if not folder.exists():
        return CheckResult("home", CheckStatus.WARN, f"{folder} is not there yet", "`bootpress up` makes it")
    try:
        standing = judge(folder)
    except InvalidInput as error:
        return CheckResult("home", CheckStatus.FAIL, error.message, error.hint)
    if standing is Standing.EMPTY:
        return CheckResult("home", CheckStatus.WARN, f"{folder} is empty", "`bootpress up` makes it a home")
    if folder.stat().st_mode & 0o077:
        return CheckResult("home", CheckStatus.WARN, f"{folder} is open to other users", f"chmod 700 {folder}")
    return CheckResult("home", CheckStatus.OK, str(folder))


def _stack(home: Home, endpoints: dict[str, Any] | None) -> CheckResult:
    if endpoints is None:
        if home.is_locked():
            return CheckResult("stack", CheckStatus.WARN, "`bootpress up` is starting", "try again in half a minute")
        return CheckResult("stack", CheckStatus.WARN, "not running", "start it: bootpress up")
    url = str(endpoints.get("api_url"))
    if _answers(f"{url}/readyz"):
        return CheckResult("stack", CheckStatus.OK, f"the API answers at {url}")
    return CheckResult("stack", CheckStatus.FAIL, f"the API at {url} is not ready", f"its log is {home.log('api')}")


def _database(settings: Settings) -> CheckResult:
    shown = without_password(settings.catalog_url)
    catalog = Database(settings.catalog_url)
    try:
        if catalog.is_sqlite:
            missing = _sqlite_trouble(settings, Path(catalog.url.database or ""))
            if missing is not None:
                return missing
        with catalog.read_session() as session:
            session.connection()
        if schema.is_current(catalog):
            return CheckResult("database", CheckStatus.OK, f"{shown}, schema up to date")
        return CheckResult(
            "database", CheckStatus.FAIL, f"{shown} has another schema", "`bootpress up` brings it up to date"
        )
    finally:
        catalog.close()


def _sqlite_trouble(settings: Settings, path: Path) -> CheckResult | None:
    """Return what is wrong with the file, before opening it would make an empty one, or change somebody else's."""
    if not path.exists() or (settings.database_url is None and not is_home(settings.home)):
        return CheckResult("database", CheckStatus.WARN, f"{path} is not there yet", "`bootpress up` makes it")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=SECONDS)
        try:
            said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        said = str(error)
    if said == "ok":
        return None
    return CheckResult("database", CheckStatus.FAIL, f"{path} is damaged: {said}", "restore it from a backup")


def _prefect(settings: Settings, base: Mapping[str, str], endpoints: dict[str, Any] | None) -> Iterator[CheckResult]:
    """Look at Prefect, and at what it keeps the connections to."""
    url = base.get("PREFECT_API_URL") or (f"{endpoints['prefect_url']}/api" if endpoints else None)
    if url is None:
        yield CheckResult(
            "prefect", CheckStatus.WARN, "not running", "`bootpress up` starts it, or set PREFECT_API_URL"
        )
        return
    credential = _credential(base, Home(settings.home))
    api = PrefectApi.from_environment({**base, **credential, "PREFECT_API_URL": url}, call_seconds=SECONDS)
    try:
        yield run_check("prefect", lambda: _prefect_health(api, url))
        yield run_check("worker", lambda: _worker(api))
        yield from _ci(settings, api)
    finally:
        api.close()


def _webhooks(settings: Settings) -> Iterator[CheckResult]:
    """Look at what webhooks store, where there is a catalog that has any."""
    catalog = Database(settings.catalog_url)
    try:
        if _is_usable(settings, catalog):
            limit, now = limits(settings).webhook_daily_bytes, datetime.now(UTC)
            yield run_check("webhooks", lambda: doctor_webhooks.near_budget(catalog, limit=limit, now=now))
    finally:
        catalog.close()


def _ci(settings: Settings, api: PrefectApi) -> Iterator[CheckResult]:
    """Look at forges and Docker hosts, where there is a catalog that names accounts and workers."""
    catalog = Database(settings.catalog_url)
    try:
        if _is_usable(settings, catalog):
            yield from doctor_ci.registries(catalog, datetime.now(UTC))
            if settings.encryption_key is None and not (settings.home / "encryption.key").exists():
                yield CheckResult(
                    "forge", CheckStatus.WARN, "the home has no key to read secrets with", "`bootpress up` makes it"
                )
            else:
                yield from doctor_ci.forges(catalog, PrefectConnections(api), lambda: create_forge_factory(settings))
            yield from doctor_ci.runner_hosts(catalog, DockerHosts(settings.docker_host))
    finally:
        catalog.close()


def _is_usable(settings: Settings, catalog: Database) -> bool:
    """Tell whether a catalog can be read; why not was said before."""
    if catalog.is_sqlite and _sqlite_trouble(settings, Path(catalog.url.database or "")):
        return False
    try:
        return schema.is_current(catalog)
    except BootpressError:
        return False


def _credential(base: Mapping[str, str], home: Home) -> dict[str, str]:
    """Return what logs in at Prefect: as the environment says, and at our own server else as the home keeps it."""
    given = base.get("PREFECT_API_AUTH_STRING") or base.get("PREFECT_SERVER_API_AUTH_STRING")
    if configured(base):
        return {"PREFECT_API_AUTH_STRING": given} if given else {}
    return {"PREFECT_API_KEY": "", "PREFECT_API_AUTH_STRING": given or _kept_string(home)}


def _kept_string(home: Home) -> str:
    try:
        return home.prefect_auth.read_text().strip()
    except OSError:
        return ""


def _prefect_string(home: Home, base: Mapping[str, str]) -> CheckResult:
    """Look at the authentication string of our own Prefect server, which whoever reads it can log in with."""
    name, path = "prefect string", home.prefect_auth
    if base.get("PREFECT_SERVER_API_AUTH_STRING") or base.get("PREFECT_API_AUTH_STRING"):
        return CheckResult(name, CheckStatus.OK, "given by the environment")
    if not _kept_string(home):
        return CheckResult(name, CheckStatus.WARN, f"{path} holds none", "`bootpress up` makes one at its next start")
    if path.stat().st_mode & 0o077:
        return CheckResult(name, CheckStatus.WARN, f"{path} is open to other users", f"chmod 600 {path}")
    return CheckResult(name, CheckStatus.OK, str(path))


def _prefect_health(api: PrefectApi, url: str) -> CheckResult:
    api.get("/health")
    return CheckResult("prefect", CheckStatus.OK, f"{url}, version {api.get('/admin/version')}")


def _worker(api: PrefectApi) -> CheckResult:
    workers = api.post(f"/work_pools/{POOL}/workers/filter", {"limit": 100})
    online = [str(worker["name"]) for worker in workers if worker.get("status") == "ONLINE"]
    if online:
        return CheckResult("worker", CheckStatus.OK, f"{', '.join(online[:5])} in the work pool {POOL}")
    return CheckResult("worker", CheckStatus.FAIL, f"none is online in the work pool {POOL}", "`bootpress up` runs one")


def _registry(settings: Settings, home: Home, endpoints: dict[str, Any] | None) -> CheckResult:
    address = settings.registry or (endpoints or {}).get("registry")
    if address is not None:
        if registry.is_ready(str(address)) or _answers(f"https://{address}/v2/", good={200, 401}):
            return CheckResult("registry", CheckStatus.OK, str(address))
        hint = f"its log is {home.log('registry')}" if settings.registry is None else "see BOOTPRESS_REGISTRY"
        return CheckResult("registry", CheckStatus.FAIL, f"{address} does not answer as a registry", hint)
    if endpoints is not None:
        return CheckResult(
            "registry", CheckStatus.WARN, "none runs here", "install docker-registry, or set BOOTPRESS_REGISTRY"
        )
    return CheckResult("registry", CheckStatus.WARN, "not running", "`bootpress up` starts one")


def _public_good() -> CheckResult:
    name = "public-good root"
    if _answers(PUBLIC_GOOD):
        return CheckResult(name, CheckStatus.OK, "Sigstore's public root can be refreshed")
    return CheckResult(
        name,
        CheckStatus.WARN,
        "Sigstore's public root cannot be reached",
        "needed for `trusted_root: public-good` alone",
    )


def _programs(home: Home) -> Iterator[CheckResult]:
    program = registry.find_program(home)
    if program is not None:
        yield CheckResult("docker-registry", CheckStatus.OK, str(program))
    else:
        hint = "apt install docker-registry; without it `up` fetches it, or runs a container of it"
        yield CheckResult("docker-registry", CheckStatus.WARN, "not installed", hint)
    for name, use, remedy in (
        ("git", "keeps the repositories of the embedded forge", "apt install git"),
        ("cosign", "signs images by hand", None),
        ("oras", "pushes images by hand", None),
        ("qemu-system-x86_64", "boots images to check them", "apt install qemu-system-x86"),
        ("docker", "runs containers", "apt install docker.io"),
    ):
        found = shutil.which(name)
        if found:
            yield CheckResult(name, CheckStatus.OK, found)
        else:
            yield CheckResult(name, CheckStatus.WARN, f"not on PATH; it {use}, bootpress runs without it", remedy)


def _answers(url: str, good: set[int] | None = None) -> bool:
    local = url.startswith(("http://127.", "http://localhost", "http://[::1]"))
    try:
        return httpx.get(url, timeout=SECONDS, trust_env=not local).status_code in (good or {200})
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
