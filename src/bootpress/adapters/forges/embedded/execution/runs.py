"""Runs as they lie on disk.

    <id>/run.json        what is to be run; written once
    <id>/workflow.yml    the workflow file of the commit
    <id>/state.json      how far it has come
    <id>/logs/<n>.log    of job <n>, from 0 on; what there is to say of the run itself is in the first one
    <id>/lock            locked by the process that runs it, for as long as it lives
    <id>/processes       which processes are its, while it is in progress: see `reaper`
    <id>/cancel          is there once somebody wants it to end
    <id>/work            checkout, home and scripts of each job; deleted at the end

Only whoever holds the lock writes `state.json`. So a run that is in progress, and that nobody holds locked, is one
whose process died: whoever sees that first says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bootpress.adapters.forges.embedded.execution import orphan_processes
from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.core.errors import BootpressError, ForgeUnavailable, InvalidInput
from bootpress.core.ports import GitRepository, RunStatus
from bootpress.removal import remove_tree

MAX_RUNS: Final = 500
"""Runs of which state and logs are kept, in all repositories together."""
KEPT_OF_EACH: Final = 20
"""Runs of one repository that are kept however many others have."""
MAX_WAITING: Final = 100
"""Runs of one repository that may wait at once."""
MAX_WAITING_TOGETHER: Final = 500
"""Runs of all repositories of an account that may wait at once, but for each repository's own few."""
MAX_WAITING_OF_EACH: Final = 10
"""Runs of one repository that may wait however many others do."""
CLEAR_SECONDS: Final = 2.0
"""For what a request may spend on deleting; the process that keeps the runs deletes the rest."""
MAX_ID: Final = 18
ABANDONED: Final = ".old-"
"""How the names of folders begin that are to be deleted."""
UNREADABLE: Final = (OSError, ValueError, TypeError, KeyError)
"""What reading a run raises whose files a job has replaced or closed."""
DIED: Final = "the process that ran this has died (bootpress was stopped, or killed): run it again"


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What is to be run."""

    repository: str
    workflow: str
    event: str
    ref: str
    """`refs/heads/…` or `refs/tags/…`."""
    sha: str
    created_at: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    push: str | None = None
    """Which push it is of, so that a push that is looked at twice is built once."""

    @property
    def created(self) -> datetime:
        """Return when it was entered."""
        return datetime.fromisoformat(self.created_at)


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a job has come."""

    name: str
    status: RunStatus = RunStatus.QUEUED
    conclusion: str | None = None
    started_at: str | None = None
    completed_at: str | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """How far a run has come."""

    status: RunStatus
    conclusion: str | None
    jobs: Sequence[JobState]
    reason: str | None = None
    """Why it ended, where nothing of it was run."""

    def ended(self, conclusion: str, *, reason: str | None = None) -> RunState:
        """Return how it is once it has ended so, with every job that had not: begun ones too, others were skipped."""
        at = now()
        jobs = [
            job
            if job.status is RunStatus.COMPLETED
            else replace(
                job,
                status=RunStatus.COMPLETED,
                conclusion=conclusion if job.started_at or number == 0 else "skipped",
                completed_at=at,
            )
            for number, job in enumerate(self.jobs)
        ]
        return RunState(RunStatus.COMPLETED, conclusion, jobs, reason)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run on disk."""

    path: Path

    @property
    def id(self) -> str:
        """Return the run's id."""
        return self.path.name

    @property
    def work(self) -> Path:
        """Return the folder that is deleted at the end."""
        return self.path / "work"

    @property
    def processes(self) -> Path:
        """Return the record of its processes that its reaper keeps."""
        return self.path / "processes"

    @property
    def workflow(self) -> bytes:
        """Return the workflow file."""
        return atomic_files.content(self.path / "workflow.yml")

    def log(self, number: int) -> Path:
        """Return where the log of a job is, once it has begun."""
        return self.path / "logs" / f"{number}.log"

    def spec(self) -> RunSpec:
        """Return what is to be run."""
        return _checked(RunSpec(**self._load("run.json")))

    def state(self) -> RunState:
        """Return how far it has come, as it was written."""
        found = self._load("state.json")
        jobs = [JobState(**{**job, "status": RunStatus(job["status"])}) for job in found["jobs"]]
        return RunState(RunStatus(found["status"]), found["conclusion"], jobs, found.get("reason"))

    def _load(self, name: str) -> Any:
        try:
            return json.loads(atomic_files.content(self.path / name))
        except RecursionError as error:
            raise ValueError(f"{name} is nested too deeply") from error

    def save(self, state: RunState) -> None:
        """Write how far it has come; for whoever holds the lock."""
        atomic_files.write(self.path / "state.json", json.dumps(asdict(state)).encode())

    def try_lock(self) -> int | None:
        """Lock the run, or return None: see `files.try_lock`."""
        return atomic_files.try_lock(self.path / "lock")

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the lock while the block lasts, if nobody else does; tells which."""
        descriptor = self.try_lock()
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def ask_to_cancel(self) -> None:
        """Tell the process that runs it to end it."""
        atomic_files.touch(self.path / "cancel")

    def is_to_be_cancelled(self) -> bool:
        """Tell whether somebody wants it to end."""
        return (self.path / "cancel").exists()

    def is_abandoned(self) -> bool:
        """Tell whether what its jobs wrote lies there, and nobody runs it."""
        with contextlib.suppress(*UNREADABLE, BootpressError):
            if self.work.exists():
                with self.locked() as is_ours:
                    return is_ours and self.state().status is RunStatus.COMPLETED
        return False

    def note(self, number: int, text: str) -> None:
        """Add a line to a job's log from outside the job."""
        path = self.log(number)
        atomic_files.make_folder(path.parent)
        with atomic_files.open_regular(path, append=True) as log:
            log.write(timestamped(text.encode()))


class Runs:
    """All runs, of every repository; several processes use the same folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended: dict[str, tuple[RunSpec, RunState]] = {}
        """What changes no more."""

    def ids(self) -> Sequence[str]:
        """List the ids of the runs, newest first."""
        return sorted((name for name in atomic_files.names(self._folder) if name.isdecimal()), key=int, reverse=True)

    def folder(self, run_id: str) -> RunFolder:
        """Return where a run is, or would be."""
        return RunFolder(self._folder / run_id)

    def find(self, run_id: str) -> tuple[RunSpec, RunState] | None:
        """Return a run, settled if its process died, or None."""
        if run_id in self._ended:
            return self._ended[run_id]
        if not (run_id.isascii() and run_id.isdecimal() and len(run_id) <= MAX_ID):
            return None
        folder = self.folder(run_id)
        try:
            spec, state = folder.spec(), folder.state()
            if state.status is RunStatus.IN_PROGRESS:
                state = _settled(folder)
        except FileNotFoundError:
            return None  # there never was one, or it is no longer kept
        except UNREADABLE as error:
            raise ForgeUnavailable(f"what was written down of run {run_id} cannot be read", hint=str(folder)) from error
        if state.status is RunStatus.COMPLETED:
            self._ended[run_id] = spec, state
        return spec, state

    def all(self) -> Iterator[tuple[str, RunSpec, RunState]]:
        """List every run that can be read, newest first."""
        for run_id in self.ids():
            with contextlib.suppress(ForgeUnavailable):
                if (found := self.find(run_id)) is not None:
                    yield run_id, *found

    def create(self, spec: RunSpec, workflow: bytes, state: RunState, *, why: str | None = None) -> str:
        """Write down a run and return its id, which is greater than every one before it; `why` begins its log.

        Raises ForgeUnavailable, which names the repository, while too many of its runs wait.
        """
        with atomic_files.locked(self._folder / ".lock"):
            if state.status is RunStatus.QUEUED:
                self._check_room(spec.repository)
            run_id = self._next_id()
            made = RunFolder(Path(tempfile.mkdtemp(dir=self._folder, prefix=".new-")))
            atomic_files.write(made.path / "run.json", json.dumps(asdict(spec)).encode())
            atomic_files.write(made.path / "workflow.yml", workflow)
            atomic_files.touch(made.path / "lock")
            if why is not None:
                made.note(0, why)
            made.save(state)
            made.path.rename(self._folder / run_id)
            self._forget_old()
        return run_id

    def _check_room(self, repository: str) -> None:
        """Raise ForgeUnavailable while a repository has its share of the runs that may wait, or all have theirs."""
        waiting = [spec.repository for _, spec, state in self.all() if state.status is RunStatus.QUEUED]
        of_it = waiting.count(repository)
        if of_it >= MAX_WAITING or (len(waiting) >= MAX_WAITING_TOGETHER and of_it >= MAX_WAITING_OF_EACH):
            beside = f", {len(waiting)} with those of others" if of_it < MAX_WAITING else ""
            raise ForgeUnavailable(
                f"{of_it} runs of {repository} wait already{beside}",
                hint="wait, cancel some of them, or have the repository a worker that takes them",
            )

    def _next_id(self) -> str:
        counter = self._folder / ".last"
        last = max(int(atomic_files.read(counter) or 0), *(int(name) for name in self.ids()[:1]), 0)
        atomic_files.write(counter, str(last + 1).encode())
        return str(last + 1)

    def _forget_old(self) -> None:
        """Forget what is no longer kept, and what a process left that died in `create`; we hold the lock of that."""
        for left in self._folder.glob(".new-*"):
            self._delete(left)
        kept: Counter[str] = Counter()
        for number, (run_id, spec, state) in enumerate(self.all()):
            kept[spec.repository] += 1
            is_over = state.status is RunStatus.COMPLETED
            if is_over and number >= MAX_RUNS and kept[spec.repository] > KEPT_OF_EACH:
                self._ended.pop(run_id, None)
                self._delete(self._folder / run_id)

    def _delete(self, folder: Path) -> None:
        """Have a folder be no run any more, and delete what can be at once; `abandoned` lists the rest."""
        left = folder.with_name(f"{ABANDONED}{folder.name}")
        with contextlib.suppress(OSError):  # one that cannot be moved now, is at the next run
            folder.rename(left)
            remove_tree(left, seconds=CLEAR_SECONDS)

    def abandoned(self) -> list[Path]:
        """List what is still to be deleted: runs that are no longer kept, and what jobs of ended runs wrote."""
        old = list(self._folder.glob(f"{ABANDONED}*"))
        return old + [folder.work for folder in map(self.folder, self.ids()) if folder.is_abandoned()]


def _settled(folder: RunFolder) -> RunState:
    """Return how a run is that was in progress: still, or, once its process is gone, failed."""
    with folder.locked() as is_ours:
        state = folder.state()
        if not is_ours or state.status is not RunStatus.IN_PROGRESS:
            return state
        at = next((number for number, job in enumerate(state.jobs) if job.status is RunStatus.IN_PROGRESS), 0)
        orphan_processes.end_recorded(folder.processes)
        orphan_processes.kill_all(f"{folder.work}/")
        remove_tree(folder.work, seconds=CLEAR_SECONDS)
        with contextlib.suppress(ForgeUnavailable):  # a job put something else in place of its log: it has ended anyway
            folder.note(at, DIED)
        ended = state.ended("failure")
        folder.save(ended)
        return ended


def _checked(spec: RunSpec) -> RunSpec:
    """Return what is to be run if every field is what it is to be; ValueError or TypeError if not."""
    texts = [spec.repository, spec.workflow, spec.event, spec.ref, spec.sha, *spec.inputs, *dict(spec.inputs).values()]
    texts += [] if spec.push is None else [spec.push]
    if not all(isinstance(text, str) for text in texts) or spec.created.tzinfo is None:
        raise ValueError("a field of the run is of another type")
    try:
        GitRepository.parse(spec.repository)
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    return spec


def now() -> str:
    """Return the present moment as it is written down."""
    return datetime.now(UTC).isoformat()


def timestamped(line: bytes) -> bytes:
    """Return a line of a log as Gitea shows it: the moment, a space, the text."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode() + line + b"\n"
