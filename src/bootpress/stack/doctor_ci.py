"""What `bootpress doctor` says of registry hosts that fail, of connected forges, and of runners' Docker hosts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy import select

from bootpress.core.accounts.models import Account
from bootpress.core.breakers import service as breakers
from bootpress.core.connections.service import of_account
from bootpress.core.database import Database
from bootpress.core.ports import Connections, ForgeConnection, ForgeFactory, RunnerHostFactory
from bootpress.core.workers.models import CiWorker
from bootpress.core.workers.states import WorkerState
from bootpress.stack.check_result import CheckResult, CheckStatus, run_check

FORGE: Final = "forge"
REGISTRY: Final = "registry host"
RUNNERS: Final = "runners"
MAX_LINES: Final = 20
"""Forges and Docker hosts that are looked at; an installation with more has other means."""


def forges(catalog: Database, connections: Connections, opening: Callable[[], ForgeFactory]) -> Iterator[CheckResult]:
    """Look at each forge that an account has connected; forges are opened only where there is one."""
    found: list[tuple[UUID, str, ForgeConnection]] = []
    listed = run_check(FORGE, lambda: _list(catalog, connections, found))
    if listed.health is not CheckStatus.OK:
        yield listed
        return
    if not found:
        yield CheckResult(FORGE, CheckStatus.WARN, "none is connected", "system_connect_forge connects one, for builds")
        return
    opened = opening()
    for account_id, account, connection in found[:MAX_LINES]:
        yield run_check(FORGE, partial(_forge, account, of_account(connection, opened, account_id), opened))


def runner_hosts(catalog: Database, hosts: RunnerHostFactory) -> Iterator[CheckResult]:
    """Look at each Docker host that a runner of ours is to run on; at none where there is no such runner."""
    found: dict[str | None, list[CiWorker]] = defaultdict(list)
    guard = run_check(RUNNERS, lambda: _workers(catalog, found))
    if guard.health is not CheckStatus.OK:
        yield guard
        return
    for url, workers in list(found.items())[:MAX_LINES]:
        yield run_check(RUNNERS, partial(_runners, url, workers, hosts))


def registries(catalog: Database, now: datetime) -> Iterator[CheckResult]:
    """Name each registry host that an account's deliveries found unavailable, with the state of its circuit breaker."""
    with catalog.read_session() as session:
        found = breakers.troubles(session, now)[:MAX_LINES]
        names = dict(session.execute(select(Account.id, Account.name)).tuples().all())
    for one in found:
        said = f"{one.phase}, of account {names[one.account_id]}: {one}; the last failure: {one.reason}"
        yield CheckResult(
            REGISTRY, CheckStatus.WARN, said, f"see what {one.host} does; the first answer ends the pause"
        )


def _list(catalog: Database, connections: Connections, found: list[tuple[UUID, str, ForgeConnection]]) -> CheckResult:
    with catalog.read_session() as session:
        accounts: Sequence[tuple[UUID, str]] = session.execute(select(Account.id, Account.name)).tuples().all()
    for account_id, name in accounts:
        found += [(account_id, name, connection) for connection in connections.list_forges(account_id)]
    return CheckResult(FORGE, CheckStatus.OK, f"{len(found)} connected")


def _forge(account: str, connection: ForgeConnection, opened: ForgeFactory) -> CheckResult:
    info = opened.open(connection).check()
    shown = f"{connection.name} of {account}: {connection.url}, {info.version}, as {info.user}"
    missing = [scope for scope in info.missing_scopes if scope != "unknown"]
    if missing:
        hint = "make a token that has them, and connect the forge again with system_connect_forge"
        return CheckResult(FORGE, CheckStatus.FAIL, f"{shown}, whose token lacks {', '.join(missing)}", hint)
    if info.actions_enabled is False:
        return CheckResult(
            FORGE, CheckStatus.FAIL, f"{shown}, has Actions switched off", "its administrator switches them on"
        )
    return CheckResult(FORGE, CheckStatus.OK, shown)


def _workers(catalog: Database, found: dict[str | None, list[CiWorker]]) -> CheckResult:
    with catalog.read_session() as session:
        query = select(CiWorker).where(CiWorker.status != WorkerState.REVOKED, CiWorker.container_id.is_not(None))
        for worker in session.scalars(query.order_by(CiWorker.created_at, CiWorker.id)):
            found[worker.runner_host].append(worker)
    return CheckResult(RUNNERS, CheckStatus.OK, "")


def _runners(url: str | None, workers: Sequence[CiWorker], hosts: RunnerHostFactory) -> CheckResult:
    host = hosts.open(url)
    version = host.check().version
    shown = f"{len(workers)} on {url or 'the Docker host of this installation'}, Docker {version}"
    idle = [worker.label for worker in workers if not host.is_running(worker.container_id or "")]
    if idle:
        hint = "system_provision_ci_worker starts it again"
        return CheckResult(RUNNERS, CheckStatus.FAIL, f"{shown}; not running: {', '.join(idle[:5])}", hint)
    return CheckResult(RUNNERS, CheckStatus.OK, shown)
