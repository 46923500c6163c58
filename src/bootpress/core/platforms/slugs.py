"""What a node platform may be called: pure."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

MAX_SLUG: Final = 63
PATTERN: Final = r"^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$"
_SLUG = re.compile(PATTERN.removeprefix("^").removesuffix("$"))


def reject_uuid(slug: str) -> str:
    """Return a slug that is no id, which it would shadow wherever an operation takes either; else ValueError."""
    try:
        UUID(slug)
    except ValueError:
        return slug
    raise ValueError("reads as an id")


def is_slug(text: str) -> bool:
    """Tell whether a platform could be made with this slug."""
    if not _SLUG.fullmatch(text):
        return False
    try:
        reject_uuid(text)
    except ValueError:
        return False
    return True
