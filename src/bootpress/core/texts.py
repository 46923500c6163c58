"""Text from outsiders that every database takes, and that is safe to show."""

from __future__ import annotations

_MAX_SHOWN = 200


def shown(text: str, limit: int = _MAX_SHOWN) -> str:
    """Make an outsider's text safe for a log or a page: printable characters only, at most `limit` of them."""
    cut = text[:limit]
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)
    return printable + "…" if len(text) > limit else printable


def reject_unstorable_text(value: object) -> object:
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
