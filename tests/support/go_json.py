"""A second opinion on a JSON text: what Go's encoding/json (1.26) would put into the fields of a structure.

It is lax where Go is: names are folded, and the last one counts. What bootpress accepts must be the same to both.
"""

from __future__ import annotations

import json
from typing import Any

_FOLDED = str.maketrans({"\N{LATIN SMALL LETTER LONG S}": "s", "\N{KELVIN SIGN}": "k"})


class Members(list[tuple[str, Any]]):
    """An object as it is written: every member, in order."""

    def field(self, name: str) -> Any:
        """Return what a field gets that has this name, of plain ASCII; None if nothing names it."""
        found = [value for stated, value in self if _fold(stated) == _fold(name)]
        return found[-1] if found else None

    def exact(self, name: str) -> Any:
        """Return what a map of Go has under this name, which folds nothing."""
        return dict(self).get(name)

    def fields(self, name: str) -> list[Members]:
        """Return the objects of a field that is a list of them."""
        return list(self.field(name) or [])


def read_as_go(raw: bytes) -> Members:
    """Read the text of an object."""
    document = json.loads(raw, object_pairs_hook=Members)
    assert isinstance(document, Members)
    return document


def _fold(name: str) -> str:
    return name.translate(_FOLDED).lower()
