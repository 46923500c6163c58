"""Show answers to a person: tables for lists, name and value otherwise, secrets marked as shown once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 200
MAX_COLUMNS = 8
RANK = (
    *("occurred_at", "id", "slug", "label", "name", "kind", "needed", "default", "severity", "about"),
    *("status", "conclusion", "run_id"),
    *("labels", "host", "is_default", "publication_id", "because", "error_message", "pinned", "arch"),
    *("git_sha", "oci_digest", "oci_ref", "platform_slug", "permissions", "received_count", "received_at"),
    *("published_at", "created_at", "permission", "summary"),
)
"""The columns a table prefers, in the order it shows them."""
WRAPPED_WIDTH = 17
"""A column that can fold is still read well at this width."""
SENTENCE_WIDTH = 22
"""And one that holds sentences at this."""
SENTENCES = frozenset({"about", "because", "error_message", "summary"})
SECRET_STYLE = "bold black on yellow"  # noqa: S105 - a style


def console() -> Console:
    """Return the standard output; wide where it is no terminal, so that ids stay whole."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def print_response(answer: Mapping[str, Any], *, secrets: Sequence[str] = (), out: Console | None = None) -> None:
    """Print an answer, to the standard output unless told otherwise."""
    out = out or console()
    singles = {}
    for name, value in answer.items():
        if isinstance(value, list):
            _show_list(out, name, value)
        elif isinstance(value, dict):
            out.print(Text(_words(name), style="bold"))
            out.print(_pairs(value, ()))
        elif name != "next_cursor":
            singles[name] = value
    texts = {name: value for name, value in singles.items() if isinstance(value, str) and "\n" in value.strip()}
    short = {name: value for name, value in singles.items() if name not in texts}
    if short:
        out.print(_pairs(short, secrets))
    for name, value in texts.items():  # a key or a log, to be copied: its lines stay as they are
        out.print(Text(_words(name), style="cyan"))
        out.print(
            Text(strip_control_characters(value.rstrip("\n")), style=SECRET_STYLE if name in secrets else ""),
            soft_wrap=True,
        )
    once = [name for name in secrets if singles.get(name)]
    if once:
        out.print(Text(f"shown once, keep it now: {', '.join(once)}", style="yellow"))
    if answer.get("next_cursor"):
        more = f"there is more; the next page: the same call with cursor={answer['next_cursor']}"
        out.print(Text(strip_control_characters(more), style="yellow"), soft_wrap=True)


def strip_control_characters(text: str) -> str:
    """Return text without what would steer a terminal; lines stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


def _show_list(out: Console, name: str, rows: list[Any]) -> None:
    if not rows:
        out.print(Text(f"{_words(name)}: none"))
    elif all(isinstance(row, dict) for row in rows):
        out.print(_table(name, rows, out.width))
    elif any(isinstance(row, str) and " " in row for row in rows):  # sentences
        out.print(Text(f"{_words(name)}:"))
        for row in rows:
            out.print(Padding(Text(f"- {_cell(row)}"), (0, 0, 0, 2), expand=False))
    else:
        out.print(Text(f"{_words(name)}: {', '.join(_cell(row) for row in rows)}"))


def _table(name: str, rows: Sequence[Mapping[str, Any]], width: int) -> Table:
    shown = [_event(row) if isinstance(row.get("payload"), dict) else row for row in rows]
    columns = _fitting(_columns(shown), shown, width)
    hidden = any(key not in columns for row in rows for key in row)
    table = Table(title=f"{_words(name)} ({len(rows)})", title_justify="left", box=SIMPLE_HEAD)
    table.caption = "more fields: --json" if hidden else None
    table.caption_justify = "left"
    for column in columns:
        table.add_column(_words(column), overflow="fold", no_wrap=_is_whole(column))
    for row in shown:
        table.add_row(*(Text(_short(column, row.get(column))) for column in columns))
    return table


def _event(row: Mapping[str, Any]) -> dict[str, Any]:
    """Say in one cell what an event is about (where, which, why); no operation takes its own id."""
    said = (row["payload"].get(key) for key in ("platform_slug", "label", "publication_id", "error_message"))
    about = " · ".join(str(one) for one in said if one)
    return {**{key: value for key, value in row.items() if key not in {"id", "payload", "source"}}, "about": about}


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    named = list(dict.fromkeys(key for row in rows for key in row))
    telling = [key for key in named if any(row.get(key) not in (None, "", [], {}) for row in rows)]
    ranked = [key for key in RANK if key in telling]
    ranked += [key for key in telling if key not in RANK and not isinstance(rows[0].get(key), dict | list)]
    return (ranked or telling or named)[:MAX_COLUMNS]


def _fitting(columns: list[str], rows: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """Return the columns that fit with their ids whole, two at least."""
    chosen: list[str] = []
    for column in columns:
        longest = max(len(_words(column)), *(len(_short(column, row.get(column))) for row in rows))
        wrapped = SENTENCE_WIDTH if column in SENTENCES else WRAPPED_WIDTH
        needed = 3 + (longest if _is_whole(column) else min(longest, wrapped))
        if needed > width and len(chosen) > 1:
            continue
        width -= needed
        chosen.append(column)
    return chosen


def _is_whole(column: str) -> bool:
    # An id in two pieces cannot be copied.
    return column == "id" or column.endswith(("_id", "_at"))


def _pairs(values: Mapping[str, Any], secrets: Sequence[str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _flat(values):
        table.add_row(
            strip_control_characters(name), Text(_cell(value), style=SECRET_STYLE if name in secrets and value else "")
        )
    return table


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict) and value and not prefix:
            pairs += _flat(value, f"{name}.")
        else:
            pairs.append((prefix + name, value))
    return pairs


def _short(column: str, value: Any) -> str:
    text = _cell(value)
    if column in {"git_sha", "head_sha"}:
        return text[:12]
    if column.endswith("_at") and len(text) > len("2026-01-31T12:00:00"):
        return f"{text[:10]} {text[11:19]}Z"
    return f"{text[:19]}…" if text.startswith("sha256:") else text


def _cell(value: Any) -> str:
    match value:
        case None | "":
            return "—"
        case bool():
            return "yes" if value else "no"
        case str():
            return strip_control_characters(value)
        case list() if all(isinstance(one, str) for one in value):
            return strip_control_characters(", ".join(value)) if value else "—"
    return strip_control_characters(json.dumps(value, ensure_ascii=False))


def _words(name: str) -> str:
    return strip_control_characters(name.replace("_", " "))
