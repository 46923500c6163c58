"""Jobs' logs: read as a stream, kept as a bounded end, shown without anything that steers a terminal."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from uuid import UUID

from bootpress.core.builds import service
from bootpress.core.context import Context
from bootpress.core.errors import ForgeUnavailable, NotFound
from bootpress.core.ports import GitRepository

MAX_SHOWN = 1024 * 1024
"""Bytes of an answer; of a longer log, its end."""
MAX_LINE = 64 * 1024
"""Bytes of a line; what is longer is cut into several."""
MAX_READ = 1024 * 1024 * 1024
MAX_SECONDS = 120.0
_COLOURS = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def read_log(
    context: Context,
    *,
    account_id: UUID,
    repository: GitRepository | None,
    run_id: str | None,
    job_id: str,
    tail: int | None,
    grep: str | None,
) -> str:
    """Return a job's log as far as it has come: the lines that hold `grep`, of these the last `tail`.

    `grep` is plain text, found as it is written. At most 1 MiB is returned, the end of what was asked for; then the
    first line says what is left out. Raises InvalidInput where the repository is not known, NotFound for a job of
    another run or repository.
    """
    repository = repository or service.find_repository(context, account_id=account_id, run_id=run_id)
    _, forge = service.forge_of(context, account_id, repository)
    if run_id is not None and job_id not in {job.id for job in forge.list_jobs(repository, run_id)}:
        raise NotFound(f"run {run_id[:50]} of {repository} has no job {job_id[:50]}", hint="see get_gitea_workflow_run")
    with forge.open_log(repository, job_id) as pieces:
        return select_lines(pieces, tail=tail, grep=grep)


def select_lines(
    pieces: Iterator[bytes], *, tail: int | None, grep: str | None, monotonic: Callable[[], float] = time.monotonic
) -> str:
    """Choose lines of a stream, holding no more than what is shown."""
    wanted = grep.encode() if grep else b""
    kept: deque[bytes] = deque(maxlen=tail)
    size = left_out = 0
    for line in _lines(_bounded(pieces, monotonic)):
        if wanted not in line:
            continue
        if kept.maxlen is not None and len(kept) == kept.maxlen:
            size -= len(kept[0]) + 1
        kept.append(line)
        size += len(line) + 1
        while size > MAX_SHOWN:
            size -= len(kept.popleft()) + 1
            left_out += 1
    shown: deque[str] = deque()
    size = 0
    while kept:
        line_shown = strip_ansi(kept.pop().decode(errors="replace")) + "\n"
        size += len(line_shown.encode())
        if size > MAX_SHOWN:  # what is made visible may be longer than it was
            left_out += len(kept) + 1
            break
        shown.appendleft(line_shown)
    if left_out:
        shown.appendleft(f"[{left_out} lines before these are left out; ask for less with tail or grep]\n")
    return "".join(shown)


def strip_ansi(text: str) -> str:
    """Take colours away, and make every other control character visible."""
    return _UNSEEN.sub(_picture, _COLOURS.sub("", text))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:  # noqa: PLR2004 - the C0 controls, which Unicode has pictures for
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"  # noqa: PLR2004 - DEL


def _bounded(pieces: Iterator[bytes], monotonic: Callable[[], float]) -> Iterator[bytes]:
    began, read = monotonic(), 0
    for piece in pieces:
        read += len(piece)
        if read > MAX_READ or monotonic() - began > MAX_SECONDS:
            raise ForgeUnavailable(
                f"the log is still coming after {read} bytes and {MAX_SECONDS:.0f} s at most",
                hint="open the run's page at the forge",
            )
        yield piece


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield from _cut(line.removesuffix(b"\r"))
        while len(rest) > MAX_LINE:
            yield rest[:MAX_LINE]
            rest = rest[MAX_LINE:]
    if rest:
        yield rest


def _cut(line: bytes) -> Iterator[bytes]:
    yield line[:MAX_LINE]
    for start in range(MAX_LINE, len(line), MAX_LINE):
        yield line[start : start + MAX_LINE]
