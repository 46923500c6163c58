"""Whether two names lead to the same repository: a proof by content that nobody else has.

A blob of random bytes is stored under the one name, looked for under the other, and deleted again. No manifest names
it, so nobody pulls it. It is looked for under the first name too: a registry that does not serve it there proves
nothing.
"""

from __future__ import annotations

import enum
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import Descriptor, Registry
from bootpress.core.references import Repository

PROBE_BYTES = 32
logger = logging.getLogger(__name__)


class Identity(enum.StrEnum):
    """What is known of two names."""

    SAME = "same"
    OTHER = "other"
    UNPROVABLE = "unprovable"
    """The repository that the proof begins at takes no blob, or does not serve it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A repository, and a connection to its registry."""

    registry: Registry
    repository: Repository


@contextmanager
def stored_probe(here: Place) -> Iterator[Descriptor | None]:
    """Store a blob that nobody else has, and delete it at the end; None where it is not taken, or not served.

    Raises RegistryUnavailable.
    """
    probe = here.registry.put_blob(here.repository, secrets.token_bytes(PROBE_BYTES))
    if probe is None:
        yield None
        return
    try:
        yield probe if here.registry.has_blob(here.repository, probe) else None
    finally:
        _remove(here, probe)


def _remove(here: Place, probe: Descriptor) -> None:
    try:
        here.registry.delete_blob(here.repository, probe.digest)
    except RegistryUnavailable as error:
        logger.warning("a blob of %d bytes stays in %s: %s", probe.size, here.repository.at(probe.digest), error)
