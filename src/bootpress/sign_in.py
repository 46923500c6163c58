"""One-time codes that sign a browser in: whoever may write to the home makes one, a server of the home takes it.

The code travels in an address; the home keeps its SHA-256 alone, as the name of a file. To take a code is to remove
its file, which succeeds once, whichever process tries. There is no call that makes a code: nobody else has one to give.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

SECONDS: Final = 120.0
"""How long a code is good: to be copied by hand, through a tunnel too."""
_CODE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class SignInCodes:
    """The codes of one server; `folder` belongs to the home and to one start of the stack."""

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._now = now

    def make(self) -> str:
        """Return a new code, good once and for SECONDS; what has expired is removed on the way."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if not self._is_fresh(path):
                path.unlink(missing_ok=True)
        code = secrets.token_urlsafe(32)
        self._path(code).touch(mode=0o600)
        return code

    def take(self, code: str) -> bool:
        """Tell whether a code is good; it is so no more afterwards."""
        if not _CODE.fullmatch(code):
            return False
        path = self._path(code)
        is_fresh = self._is_fresh(path)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return is_fresh

    def _path(self, code: str) -> Path:
        return self.folder / hashlib.sha256(code.encode()).hexdigest()

    def _is_fresh(self, path: Path) -> bool:
        with suppress(FileNotFoundError):
            return 0 <= self._now() - path.stat().st_mtime <= SECONDS
        return False


def codes_of(home: Path, server: str) -> SignInCodes:
    """Return the codes for a server of a home, `prefect` or `console`; `up` begins its folder `run` anew."""
    return SignInCodes(home / "run" / "sign-in" / server)
