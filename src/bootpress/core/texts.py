"""Text from outsiders that every database takes."""

from __future__ import annotations


def refuse_unstorable(value: object) -> object:
    """Refuse text with a NUL, which PostgreSQL does not store, or half of a surrogate pair, which UTF-8 cannot say.

    Looks into lists and objects too. Raises ValueError.
    """
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
                raise ValueError("holds a NUL character or half of a surrogate pair")
            case list() as members:
                waiting += members
            case dict() as members:
                waiting += [*members.keys(), *members.values()]
    return value
