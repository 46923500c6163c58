"""What is pushed: git runs our hook, which leaves a file; whoever runs the workflows takes it up."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootpress.adapters.forges.embedded.execution.enqueue import create_run, workflows
from bootpress.adapters.forges.embedded.execution.runs import Runs
from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.adapters.forges.embedded.repository.git import Bare, Revision
from bootpress.adapters.forges.embedded.repository.layout import ForgeLayout
from bootpress.adapters.forges.embedded.workflow.triggers import PUSH
from bootpress.core.errors import BootpressError, InvalidInput, Unsupported
from bootpress.core.ports import GitRepository
from bootpress.removal import remove_tree

HOOK: Final = """\
#!/bin/sh
# Written by bootpress: leaves what was pushed in a file, which it takes up to start the workflows that want it.
set -eu
umask 077
here=$(pwd -P)
name=${here##*/}
above=${here%/*}
folder=$above/../.state/pushes
mkdir -p "$folder"
file=$(mktemp "$folder/.new-XXXXXXXXXX")
{ printf '%s/%s\\n' "${above##*/}" "${name%.git}"; cat; } > "$file"
mv "$file" "$folder/push-${file##*-}"
"""
"""Its working directory is the repository; the first line it writes is `owner/name`."""
MAX_REFS: Final = 20
"""Of one push; more than that are a repository that moves here, and nobody wants so many builds."""
MAX_BYTES: Final = 1 << 20
_LINE = re.compile(r"(?:0+|[0-9a-f]{40,64}) ([0-9a-f]{40,64}) (refs/(?:heads|tags)/\S{1,250})", re.ASCII)
PATIENCE_SECONDS: Final = 600.0
"""For how long it is tried again to enter the runs of a push."""
FIRST_PAUSE_SECONDS: Final = 0.5
LAST_PAUSE_SECONDS: Final = 30.0
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Push:
    """What was pushed at once."""

    id: str
    repository: GitRepository
    revisions: list[Revision]


def enqueue_push(places: ForgeLayout, repository: GitRepository, push: str, *, old: str, revision: Revision) -> None:
    """Leave a push as the hook does, for what was committed without one."""
    line = f"{repository}\n{old} {revision.commit} {revision.ref}\n"
    atomic_files.write(places.pushes / f"push-{push}", line.encode())


class Pushes:
    """The pushes that nobody has looked at; each that cannot be entered now is tried again, less and less often."""

    def __init__(self, places: ForgeLayout, runs: Runs) -> None:
        self._places = places
        self._runs = runs
        self._retries: dict[str, tuple[float, float]] = {}
        """By the names of their files: when they are tried again, by the monotonic clock, and the pause after that."""

    def process(self) -> None:
        """Enter the runs that waiting pushes start; one that cannot be read, or not be entered for long, is dropped."""
        there = atomic_files.names(self._places.pushes)
        self._retries = {name: retry for name, retry in self._retries.items() if name in there}
        for name in there:
            at, pause = self._retries.get(name, (0.0, FIRST_PAUSE_SECONDS))
            if time.monotonic() < at:
                continue
            try:
                self._take_up(self._places.pushes / name)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one, it must not hold up the others
                if _is_kept(self._places.pushes / name, error):
                    self._retries[name] = time.monotonic() + pause, min(pause * 2, LAST_PAUSE_SECONDS)

    def _take_up(self, path: Path) -> None:
        for push in _read(path):
            bare = Bare(self._places.repository(push.repository))
            is_off = (self._places.settings(push.repository) / "actions_disabled").exists()
            if bare.exists() and not is_off:
                _enter(bare, self._runs, push)
        path.unlink(missing_ok=True)


def _is_kept(path: Path, error: Exception) -> bool:
    """Tell whether a push that could not be entered is to be tried again; else it is dropped."""
    with suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime < PATIENCE_SECONDS:
            return True
    said = error if isinstance(error, BootpressError) else f"{type(error).__name__}: {error}"
    logger.warning("dropped a push: %s", said)
    remove_tree(path)
    return False


def _read(path: Path) -> Iterator[Push]:
    with atomic_files.open_regular(path) as file:
        lines = file.read(MAX_BYTES).decode(errors="replace").splitlines()
    try:
        repository = GitRepository.parse(lines[0] if lines else "")
    except InvalidInput:
        logger.warning("dropped a push of no repository")
        return
    found = [match for match in map(_LINE.fullmatch, lines[1:]) if match and match[1].strip("0")]
    if len(found) > MAX_REFS:
        logger.warning("a push to %s has %d refs: the first %d count", repository, len(found), MAX_REFS)
    yield Push(path.name, repository, [Revision(match[2], match[1]) for match in found[:MAX_REFS]])


def _enter(bare: Bare, runs: Runs, push: Push) -> None:
    known = {spec.push for _, spec, _ in runs.all()}  # it was killed between entering a run and deleting the file
    for revision in push.revisions:
        found = bare.resolve(revision.ref)
        if found is None:
            continue  # deleted since
        # A tag of its own has an id that is not its commit's.
        commit = Revision(revision.ref, bare.commit_of(revision.commit) or found.commit)
        for source in workflows(bare, commit.commit):
            key = f"{push.id} {revision.ref} {source.name}"
            try:
                is_wanted = source.triggers().match(revision.ref)
            except Unsupported:
                is_wanted = True  # perhaps: its run will have failed, and say what is not understood
            if is_wanted and key not in known:
                create_run(runs, push.repository, source, event=PUSH, revision=commit, inputs={}, push=key)
