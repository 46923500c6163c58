"""What a use case is given: the catalog, the ports, and the limits of this installation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import BoundedSemaphore
from uuid import UUID

from bootpress.core.database import Database
from bootpress.core.encryption import SecretCipher
from bootpress.core.ports import (
    Clock,
    Connections,
    EventSink,
    ForgeFactory,
    Launcher,
    RegistryFactory,
    RunnerHostFactory,
    SignatureVerifier,
)
from bootpress.core.workers.signing_keys import SigningKeyPair, create_key_pair

MAX_WAITING = 8
"""Callers in a process who may wait for flows at once: half of those whom a door serves at once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that an installation may set."""

    launches_in_flight: int = 8
    """Ingest runs of one delivery each that may be under way at once."""
    reserved_for_platforms: int = 2
    """More such runs, for platforms that have nothing in flight."""
    reserved_for_accounts: int = 3
    """More such runs, for accounts that have nothing in flight."""
    batches_in_flight: int = 2
    batches_reserved_for_hosts: int = 1
    """More batches, for a registry host of an account that has none in flight."""
    batches_reserved_for_accounts: int = 1
    """More batches, for accounts that have none in flight."""
    batch_size: int = 50
    saga_seconds: float = 120.0
    """How long a call waits for the flow that carries it out."""
    runner_seconds: float = 60.0
    """How long a runner that was started may take until the forge says that it is online."""
    webhook_daily_bytes: int = 256 * 1024 * 1024
    """What one webhook may have stored in 24 hours."""
    delivery_days: int = 90
    """How long finished deliveries and their attempts are kept."""
    deliveries_kept: int = 10_000
    """Finished deliveries of one webhook that are kept at most."""
    event_days: int = 400
    """How long events are kept."""
    events_kept: int = 20_000
    """Events of one kind and account that are kept at most."""

    @property
    def most_launched(self) -> int:
        """Return how many deliveries of one queue may come into flight at one look, at most."""
        batches = self.batches_in_flight + self.batches_reserved_for_hosts + self.batches_reserved_for_accounts
        return self.launches_in_flight + batches * self.batch_size


@dataclass(frozen=True, slots=True)
class Context:
    """The catalog and every port; made once by `bootpress.wiring`, and by tests."""

    catalog: Database
    clock: Clock
    secrets: SecretCipher
    verifier: SignatureVerifier
    registries: RegistryFactory
    forges: ForgeFactory
    runner_hosts: RunnerHostFactory
    connections: Connections
    launcher: Launcher
    event_sink: EventSink
    public_url: str
    """Base of the URLs that others call, without a slash at its end."""
    limits: Limits = Limits()
    local_registry: Callable[[], str | None] = lambda: None
    """Return `host:port` of the registry that this installation runs or is configured with, as it is now."""
    build_repository: Callable[[], Mapping[str, bytes]] = dict
    """Return the files that a build repository begins with, by path."""
    callers_waiting: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(MAX_WAITING))
    """Places of those who wait for a flow that carries out their call."""
    create_signing_key: Callable[[], SigningKeyPair] = create_key_pair
    runner_image: str = "gitea/act_runner"
    """What runners that we run are containers of."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls an operation: a token's holder, within one account."""

    account_id: UUID
    token_id: UUID
    name: str
    permissions: frozenset[str]
    expires_at: datetime | None = None

    def has_permission(self, permission: str) -> bool:
        """Tell whether the token has a permission; `*` has all."""
        return "*" in self.permissions or permission in self.permissions
