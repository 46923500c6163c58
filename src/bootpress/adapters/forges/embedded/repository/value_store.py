"""Secrets and variables of a repository: a file each, so that setting one touches no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import InvalidInput

MAX_VALUE: Final = 65_535
_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,254}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ValueStore:
    """Values by name, in a folder; names are kept and compared in upper case, as Gitea does."""

    folder: Path
    encode: Callable[[str], bytes] = str.encode
    decode: Callable[[bytes], str] = bytes.decode

    @classmethod
    def sealed(cls, folder: Path, box: SecretCipher) -> ValueStore:
        """Keep values encrypted."""
        return cls(folder, box.encrypt, box.decrypt)

    def names(self) -> Sequence[str]:
        """List the names."""
        return atomic_files.names(self.folder)

    def all(self) -> dict[str, str]:
        """Return every value by its name."""
        found = {name: atomic_files.read(self.folder / name) for name in self.names()}
        return {name: self.decode(content) for name, content in found.items() if content is not None}

    def set(self, name: str, value: str) -> None:
        """Create or replace a value; InvalidInput for a name or a value that a job could not be given."""
        atomic_files.write(self.folder / _checked(name), self.encode(check_text(value, of=name)))

    def delete(self, name: str) -> None:
        """Delete a value; an absent one is deleted."""
        (self.folder / _checked(name)).unlink(missing_ok=True)


def check_text(value: str, *, of: str, limit: int = MAX_VALUE) -> str:
    """Return a text that can be an environment variable; InvalidInput, without the text, for any other."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        # Its own words and attributes hold the value.
        raise InvalidInput(f"the value of {of[:100]} is no text: it cannot be UTF-8") from None
    if "\0" in value or size > limit:
        raise InvalidInput(f"the value of {of[:100]} has {size} bytes, or a NUL", hint=f"at most {limit} bytes, no NUL")
    return value


def _checked(name: str) -> str:
    upper = name.upper()
    if not _NAME.fullmatch(upper) or upper.startswith(("GITHUB_", "GITEA_")):
        raise InvalidInput(
            f"{name[:100]!r} is no name of a secret or variable",
            hint="letters, digits and underscores, no digit first, and neither GITHUB_ nor GITEA_ first",
        )
    return upper
