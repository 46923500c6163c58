"""The trusted root of the public Sigstore services, kept fresh through TUF."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from bootpress.adapters.cosign.parsing import error_summary
from bootpress.core.errors import TrustRootUnavailable

if TYPE_CHECKING:
    from bootpress.adapters.cosign.roots import TrustMaterial

_FRESH_FOR = 24 * 3600.0
"""Seconds after which the root is looked up again; its keys change a few times a year."""
_RETRY_AFTER = 600.0
"""Seconds after which a look-up that failed is tried again."""
_RETRY_FIRST_AFTER = 20.0
"""The same while there is no root yet: everything waits for it, but many threads need not each wait out a timeout."""


def load_through_tuf() -> TrustMaterial:
    """Load the root as sigstore does: refreshed and checked through TUF, kept in the user's data folder."""
    from sigstore.models import ClientTrustConfig  # noqa: PLC0415 - half a second; see the package

    from bootpress.adapters.cosign.roots import TrustMaterial  # noqa: PLC0415 - same

    return TrustMaterial(ClientTrustConfig.production().trusted_root)


_log = logging.getLogger(__name__)


class PublicGoodRoot:
    """The root, looked up once a day; shared by threads.

    An old one keeps being used while a new one cannot be had: TUF only ever adds to it, and every time that counts
    is checked against the validity of its keys. Without any, everything waits.
    """

    def __init__(
        self, load: Callable[[], TrustMaterial] = load_through_tuf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._clock = clock
        self._lock = threading.Lock()
        self._root: TrustMaterial | None = None
        self._next_look = clock()
        self._failure = ""

    def get(self) -> TrustMaterial:
        """Return the root; TrustRootUnavailable if none could be loaded yet."""
        with self._lock:
            if self._clock() >= self._next_look:
                self._refresh()
            if self._root is None:
                raise TrustRootUnavailable(
                    f"the root of the public Sigstore services cannot be loaded: {self._failure}",
                    hint="this machine must reach tuf-repo-cdn.sigstore.dev, or the platform name a root of its own",
                )
            return self._root

    def _refresh(self) -> None:
        try:
            self._root = self._load()
        except Exception as error:  # noqa: BLE001 - TUF's are of many classes; none may look like a bad artifact
            self._failure = error_summary(error)
            _log.warning("the root of the public Sigstore services cannot be loaded: %s", self._failure)
            self._next_look = self._clock() + (_RETRY_FIRST_AFTER if self._root is None else _RETRY_AFTER)
        else:
            self._next_look = self._clock() + _FRESH_FOR
