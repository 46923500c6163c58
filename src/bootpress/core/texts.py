"""Text from outsiders that every database takes."""

from __future__ import annotations


def refuse_unstorable(value: object) -> object:
    """Refuse text with a NUL, which PostgreSQL does not store, or half of a surrogate pair, which UTF-8 cannot say."""
    if isinstance(value, str) and ("\x00" in value or any("\ud800" <= character <= "\udfff" for character in value)):
        raise ValueError("holds a NUL character or half of a surrogate pair")
    return value
