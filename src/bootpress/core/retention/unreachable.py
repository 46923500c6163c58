"""Registries that gave no answer in one run of a sweep: each is asked once, whatever else lies there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from bootpress.core.errors import RegistryDenied, RegistryUnavailable, RegistryUnreachable
from bootpress.core.ports import Registry, RegistryConnection
from bootpress.core.references import Repository

MAX_KNOWN = 500
"""Registries that are remembered, the last ones."""
MAX_REASON = 500
SECONDS_FOR_OTHERS = 60.0
"""How long the registries of one account, other than the one that is purged, may take in all."""


class Unreachable:
    """What one run knows so far; `reasons` is what its next task begins with."""

    def __init__(
        self, reasons: Mapping[str, str] | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.reasons = dict(reasons or {})
        """Why a registry is asked no more, by host and, where the account has a connection to it, account and name."""
        self._monotonic = monotonic
        self._spent: dict[UUID, float] = {}
        """Seconds that the other registries of an account took."""

    @contextmanager
    def asking(self, account_id: UUID, connection: RegistryConnection, registry: Registry) -> Iterator[None]:
        """Ask a registry, unless it was given up; give it up when no answer comes.

        Raises RegistryUnreachable for a registry that is given up. An error about one image leaves the others to be
        asked about: after it, the registry is given up only if it does not answer at all.
        """
        place = _place_of(account_id, connection)
        self._check(place, connection.host)
        try:
            yield
        except RegistryDenied:
            raise
        except RegistryUnavailable as error:
            if not isinstance(error, RegistryUnreachable) and _answers(registry):
                raise
            self._give_up(place, str(error))
            raise RegistryUnreachable(error.message, hint=error.hint, retry_after=error.retry_after) from error

    @contextmanager
    def asking_other(
        self, account_id: UUID, connection: RegistryConnection, registry: Registry, repository: Repository
    ) -> Iterator[None]:
        """Ask about a repository of an account that a purge elsewhere depends on; it holds up no other account.

        Raises as `asking`. A refusal counts for the repository, and what takes too long in all for the account.
        """
        slow, refusing = f"others of the account {account_id}", f"{repository} of the account {account_id}"
        for place in (slow, refusing):
            self._check(place, connection.host)
        begun = self._monotonic()
        try:
            with self.asking(account_id, connection, registry):
                yield
        except RegistryDenied as error:
            self._give_up(refusing, str(error))
            raise
        finally:
            self._spent[account_id] = self._spent.get(account_id, 0.0) + self._monotonic() - begun
            if self._spent[account_id] >= SECONDS_FOR_OTHERS:
                self._give_up(slow, f"the other registries of its account took {SECONDS_FOR_OTHERS:.0f} s in all")

    def _check(self, place: str, host: str) -> None:
        if place in self.reasons:
            raise RegistryUnreachable(f"{host} gave no answer before in this run: {self.reasons[place]}")

    def _give_up(self, place: str, because: str) -> None:
        self.reasons = last({**self.reasons, place: because[:MAX_REASON]})


def last(reasons: Mapping[str, str]) -> dict[str, str]:
    """Return the last of these reasons, as many as are remembered."""
    return dict([*reasons.items()][-MAX_KNOWN:])


def _place_of(account_id: UUID, connection: RegistryConnection) -> str:
    if connection == RegistryConnection(name=connection.host, host=connection.host):
        return connection.host  # everybody without a connection of their own reaches it in the same way
    # An account's connection may fail by its own fault, and another account be answered.
    scheme = " by plain HTTP" if connection.plain_http else ""
    return f"{connection.host}{scheme} as {connection.name} of the account {account_id}"


def _answers(registry: Registry) -> bool:
    try:
        registry.check()
    except RegistryDenied:
        return True
    except RegistryUnavailable:
        return False
    return True
