"""Look for secrets in whatever was written, in each form that a program gives a text without meaning to hide it."""

from __future__ import annotations

import base64
import json
import secrets
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

EDGE = 4
"""Characters at each end of a base64 text that depend on what stands beside the secret."""
PREFECT = (
    "artifacts",
    "automations",
    "block_documents",
    "block_schemas",
    "block_types",
    "concurrency_limits",
    "deployments",
    "flow_runs",
    "flows",
    "logs",
    "task_runs",
    "v2/concurrency_limits",
    "variables",
    "work_pools",
    "work_queues",
)
"""What Prefect can be asked for."""
PAGE = 200


def odd(length: int = 16) -> str:
    """Return a secret that looks different in JSON, in a URL and in a shell."""
    return f'q"\\/+ %25é{secrets.token_urlsafe(length)}'


def forms(secret: str) -> set[bytes]:
    """Return a secret as it is, in JSON (twice, too), in a URL, in hex, and as a part of a longer base64 text."""
    raw = secret.encode()
    escaped = json.dumps(secret)[1:-1]
    texts = {
        secret,
        escaped,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(escaped)[1:-1],
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        urllib.parse.quote(secret, safe=" +"),  # as SQLAlchemy writes a password into a URL
        urllib.parse.quote(secret, safe="").lower(),
        raw.hex(),
        raw.hex().upper(),
    }
    found = {text.encode() for text in texts}
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"\0" * shift + raw)[EDGE if shift else 0 : -EDGE])
    return found


class Search:
    """Knows secrets by their names, and finds them."""

    def __init__(self, known: Mapping[str, str]) -> None:
        for name, secret in known.items():
            if len(secret) < 16:
                raise AssertionError(f"{name} is too short to be found by itself")
        self._forms = {name: forms(secret) for name, secret in known.items()}

    def within(self, content: bytes) -> list[str]:
        """Return the names of the secrets that some bytes hold."""
        return [name for name, known in self._forms.items() if any(form in content for form in known)]


def files_below(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the path and content of every file that is there now."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            try:
                yield str(path.relative_to(folder)), path.read_bytes()
            except FileNotFoundError:
                continue  # a temporary one


def processes(names: Mapping[int, str]) -> Iterator[tuple[str, bytes]]:
    """Yield what each process of the machine shows of itself: its command line and its environment.

    Those in `names` are called so, and their children by their last word; all others are strangers.
    """
    for folder in sorted(Path("/proc").glob("[0-9]*")):
        try:
            who = _name(int(folder.name), names)
            yield f"command line of {who}", (folder / "cmdline").read_bytes()
            yield f"environment of {who}", (folder / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue


def _name(pid: int, names: Mapping[int, str]) -> str:
    if pid in names:
        return names[pid]
    last = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").rpartition(b"\0")[2].decode(errors="replace")
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if pid in names:
            return f"{last}, a child of {names[pid]}"
    return "a stranger"


def prefects_answers(prefect: httpx.Client) -> Iterator[tuple[str, bytes]]:
    """Yield all that Prefect tells whoever has its password."""
    for kind in PREFECT:
        for content in pages(prefect, f"{kind}/filter", {}):
            yield f"Prefect: {kind}", content
    for content in pages(prefect, "block_documents/filter", {"include_secrets": True}):
        yield "Prefect, with its secrets: block_documents", content
    for path in ("admin/settings", "admin/version"):
        yield f"Prefect: {path}", prefect.get(path).raise_for_status().content
    answer = prefect.post("events/filter", json={"limit": 50}).raise_for_status()
    for _ in range(100):
        yield "Prefect: events", answer.content
        following = answer.json()["next_page"]
        if not following:
            return
        answer = prefect.get(following).raise_for_status()
    raise AssertionError("more events than anybody counted on")


def pages(prefect: httpx.Client, path: str, asked: dict[str, Any]) -> Iterator[bytes]:
    """Yield the pages of a filter; what a kind has no offset for comes in one."""
    for offset in range(0, 100 * PAGE, PAGE):
        answer = prefect.post(path, json={**asked, "limit": PAGE, "offset": offset}).raise_for_status()
        yield answer.content
        if len(answer.json()) < PAGE:
            return
