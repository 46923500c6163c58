"""The trusted root of the public Sigstore services, kept fresh through TUF."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from bootpress.adapters.cosign.wire import told
from bootpress.core.errors import TrustRootUnavailable

if TYPE_CHECKING:
    from bootpress.adapters.cosign.roots import Root

_FRESH_FOR = 24 * 3600.0
"""Seconds after which the root is looked up again; its keys change a few times a year."""
_RETRY_AFTER = 600.0
"""Seconds after which a look-up that failed is tried again, while an older root is there."""


def load_through_tuf() -> Root:
    """Load the root as sigstore does: refreshed and checked through TUF, kept in the user's data folder."""
    from sigstore.models import ClientTrustConfig  # noqa: PLC0415 - half a second; see the package

    from bootpress.adapters.cosign.roots import Root  # noqa: PLC0415 - same

    return Root(ClientTrustConfig.production().trusted_root)


class PublicGoodRoot:
    """The root, looked up once a day; shared by threads.

    An old one keeps being used while a new one cannot be had: TUF only ever adds to it, and every time that counts
    is checked against the validity of its keys. Without any, everything waits.
    """

    def __init__(self, load: Callable[[], Root] = load_through_tuf) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._root: Root | None = None
        self._next_look = 0.0

    def get(self) -> Root:
        """Return the root; TrustRootUnavailable if none could be loaded yet."""
        with self._lock:
            if self._root is None or time.monotonic() >= self._next_look:
                self._root = self._refresh()
            return self._root

    def _refresh(self) -> Root:
        try:
            root = self._load()
        except Exception as error:  # TUF's failures are of many classes, and none of them may look like a bad artifact
            self._next_look = time.monotonic() + _RETRY_AFTER
            if self._root is not None:
                return self._root
            raise TrustRootUnavailable(
                f"the root of the public Sigstore services cannot be loaded: {told(error)}",
                hint="this machine must reach tuf-repo-cdn.sigstore.dev, or the platform name a root of its own",
            ) from error
        self._next_look = time.monotonic() + _FRESH_FOR
        return root
