"""Bootstraps without Prefect: what the flow does, done at once by the launcher, and killed where a test says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import select

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.core.accounts.models import ApiToken
from bootpress.core.ports import ForgeConnection, ForgeKind, GitRepository, JobKind
from bootpress.core.sagas import store
from bootpress.core.sagas.models import Saga
from bootpress.core.sagas.store import SagaLease
from bootpress.core.webhooks.models import Webhook
from bootpress.core.workers import bootstrap, bootstrap_rollback
from bootpress.core.workers.models import CiWorker
from bootpress.core.workers.signing_keys import SigningKeyPair
from tests.support.core_harness import CoreHarness
from tests.support.fake_forge import FakeForge, FakeRepository
from tests.support.fakes import Launch

IMAGES = GitRepository("acme", "disk-images")
WORKFLOW = ".gitea/workflows/build-disk-image.yml"
TEMPLATE = {WORKFLOW: b"on: {workflow_dispatch: {}}\n", "build.sh": b"true\n"}
ASKED: dict[str, Any] = {"owner": "acme", "repo": "disk-images", "label": "edge-builder"}
PUBLIC_REGISTRY = "registry.example"


class Killed(BaseException):
    """What a test ends a run with, as kill -9 would: nothing is recorded after it."""


class CrashingForge:
    """A forge whose caller dies before or after one of its calls; `calls` are those of the real one."""

    def __init__(self, forge: FakeForge) -> None:
        self._forge = forge
        self.dies_at = -1
        self.dies_after = False
        self._count = 0

    def dies(self, at: int, *, after: bool) -> None:
        """Let whoever makes the nth call from here on die."""
        self.dies_at, self.dies_after, self._count = at, after, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._forge, name)
        return self._mortal(found) if callable(found) else found

    def _mortal(self, call: Any) -> Any:
        def made(*given: Any, **named: Any) -> Any:
            is_last = self._count == self.dies_at
            self._count += 1
            if is_last and not self.dies_after:
                raise Killed
            answer = call(*given, **named)
            if is_last:
                raise Killed
            return answer

        return made


def quick_key_pair() -> SigningKeyPair:
    """Make a key with nothing of what makes its password slow to guess."""
    public_pem = SigningKey.create().public_pem
    return SigningKeyPair(f"PRIVATE KEY of\n{public_pem}", f"password of {hash(public_pem)}", public_pem)


class BootstrapHarness:
    """A world with a forge, where bootstraps are carried out."""

    def __init__(self, world: CoreHarness) -> None:
        self.world = world
        self.forge = world.forges.forge
        self.abandons = True
        world.connections.save_forge(
            world.account_id, ForgeConnection("default", ForgeKind.GITEA, "https://forge.example", "forge-token")
        )
        world.context = replace(
            world.context,
            build_repository=lambda: TEMPLATE,
            local_registry=lambda: PUBLIC_REGISTRY,
            create_signing_key=quick_key_pair,
            limits=replace(world.context.limits, saga_seconds=1.0),
        )
        world.launcher.runs[JobKind.BOOTSTRAP] = self._run

    def mortal(self) -> CrashingForge:
        """Let callers of the forge die."""
        forge = CrashingForge(self.forge)
        stand_in: Any = forge
        self.world.forges.forge = stand_in
        return forge

    def _run(self, launch: Launch) -> None:
        hold = SagaLease(launch.subject, launch.run_id)
        context = self.world.context
        store.begin(context, hold)
        try:
            for step in bootstrap.STEPS:
                step(context, hold)
        except Exception as error:  # noqa: BLE001 - as the flow does it
            bootstrap_rollback.roll_back(context, hold, error)

    def call(self, **fields: Any) -> dict[str, Any]:
        """Bootstrap."""
        return self.world.call("bootstrap_disk_image_ci", **{**ASKED, **fields})

    def at_forge(self, repository: GitRepository = IMAGES) -> FakeRepository:
        """Return what the forge has of a repository."""
        return self.forge.repositories[repository]

    def asked(self) -> Counter[str]:
        """Count what was asked of the forge since the last time."""
        calls = Counter(self.forge.calls)
        self.forge.calls.clear()
        return calls

    def workers(self) -> list[CiWorker]:
        return self._all(CiWorker)

    def tokens(self) -> list[ApiToken]:
        return self._all(ApiToken)

    def webhooks(self) -> list[Webhook]:
        return [one for one in self._all(Webhook) if one.id != self.world.webhook_id]

    def sagas(self) -> list[Saga]:
        return self._all(Saga)

    def webhook_of(self, answer: dict[str, Any]) -> Webhook:
        return self.world.webhook(UUID(answer["webhook_id"]))

    def _all(self, kind: Any) -> list[Any]:
        with self.world.catalog.read_session() as session:
            return list(session.scalars(select(kind).order_by(kind.created_at, kind.id)))
