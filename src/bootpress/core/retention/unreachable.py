"""Registries that gave no answer in one run of a sweep: each is asked once, whatever else lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bootpress.core.errors import RegistryDenied, RegistryUnavailable, RegistryUnreachable
from bootpress.core.ports import Registry, RegistryConnection


class Unreachable:
    """What one run knows so far; `reasons` is what its next task begins with."""

    def __init__(self, reasons: Mapping[str, str] | None = None) -> None:
        self.reasons = dict(reasons or {})
        """Why a registry is asked no more, by host and scheme."""

    @contextmanager
    def asking(self, connection: RegistryConnection, registry: Registry) -> Iterator[None]:
        """Ask a registry, unless it was given up; give it up when no answer comes.

        Raises RegistryUnreachable for a registry that is given up. An error about one image leaves the others to be
        asked about: after it, the registry is given up only if it does not answer at all.
        """
        place = _place_of(connection)
        if place in self.reasons:
            raise RegistryUnreachable(f"{connection.host} gave no answer before in this run: {self.reasons[place]}")
        try:
            yield
        except RegistryDenied:
            raise
        except RegistryUnavailable as error:
            if not isinstance(error, RegistryUnreachable) and _answers(registry):
                raise
            self.reasons[place] = str(error)
            raise RegistryUnreachable(error.message, hint=error.hint, retry_after=error.retry_after) from error


def _place_of(connection: RegistryConnection) -> str:
    # Another account may reach the same host by the other scheme, and be answered there.
    return f"{connection.host} by plain HTTP" if connection.plain_http else connection.host


def _answers(registry: Registry) -> bool:
    try:
        registry.check()
    except RegistryDenied:
        return True
    except RegistryUnavailable:
        return False
    return True
