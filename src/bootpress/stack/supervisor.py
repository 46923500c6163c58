"""Keep a few processes running: restart what dies, in bounds; stop everything in time.

All of it happens on the main thread, because the kernel ends a child with the thread that started it.
"""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Final, Self

from bootpress.stack.errors import StackFailed, Stopped
from bootpress.stack.home import Home
from bootpress.stack.processes import Process, Spec, rotate_log

DEATHS: Final = 5
DEATHS_AT_START: Final = 1
"""What does not come up at the second try would not at the sixth, and takes seconds each time."""
WITHIN_SECONDS: Final = 60.0
FIRST_PAUSE_SECONDS: Final = 0.5
TICK_SECONDS: Final = 0.05
LOGS_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 5.0
"""Until what could not even be started (no room, no memory) is tried again."""
logger = logging.getLogger(__name__)


class Signals:
    """Counts the wishes to stop while the block lasts, in place of the handlers that were there.

    A hangup or Ctrl-C that we were started to ignore (nohup, a shell's background job) stays ignored.
    """

    NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        """Take the signals."""
        self._before = {
            number: signal.signal(number, self._note)
            for number in self.NUMBERS
            if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise Stopped once a signal has come."""
        if self.count:
            raise Stopped

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.count += 1


@dataclass(slots=True)
class _Watched:
    spec: Spec
    process: Process | None
    deaths: deque[float] = field(default_factory=deque)
    not_before: float = 0.0


class Supervisor:
    """The processes of one stack, by name."""

    def __init__(self, home: Home, signals: Signals, *, first_pause_seconds: float = FIRST_PAUSE_SECONDS) -> None:
        self._home = home
        self._first_pause = first_pause_seconds
        self._signals = signals
        self._watched: dict[str, _Watched] = {}
        self._logs_next = time.monotonic() + LOGS_SECONDS
        self.deaths_allowed = DEATHS
        self.restarts = 0
        """How often something was started again; whoever publishes pids looks whether it has changed."""

    @property
    def pids(self) -> dict[str, int]:
        """Return the ids of what runs and is meant to."""
        return {
            name: watched.process.pid
            for name, watched in self._watched.items()
            if watched.process is not None and not watched.spec.once
        }

    def start(self, spec: Spec) -> None:
        """Start a process and watch it from now on."""
        self._watched[spec.name] = _Watched(spec, self._launch(spec))

    def is_done(self, name: str) -> bool:
        """Tell whether a process that runs once has ended well; StackFailed if it ended otherwise."""
        process = self._watched[name].process
        code = process.exit_code if process else None
        if process is None or code is None:
            return False
        if code != 0:
            raise StackFailed(
                f"{name} failed: {process.last_words() or f'exit code {code}'}", hint=f"its log is {process.log}"
            )
        return True

    def runs(self, name: str) -> bool:
        """Tell whether a process was started and is not done with."""
        return name in self._watched

    def wait_or_kill(self, name: str, *, seconds: float) -> bool:
        """Give a process that runs once so long to end, then end it; return whether it ended well by itself."""
        deadline = time.monotonic() + seconds
        process = self._watched[name].process
        while process is not None and process.exit_code is None and time.monotonic() < deadline:
            self.tick()
        del self._watched[name]
        if process is None:
            return False
        process.kill()
        return process.exit_code == 0

    def wait_until(self, condition: Callable[[], bool], *, what: str, seconds: float) -> None:
        """Wait for a condition and keep everything running meanwhile; StackFailed if it does not come to hold."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise StackFailed(
                    f"{seconds:.0f} s have passed and {what} is still missing",
                    hint=f"the logs are in {self._home.log('').parent}",
                )
            self.tick()

    def tick(self) -> None:
        """Look after everything once, and sleep a moment. Raises Stopped, or StackFailed when something keeps dying."""
        self._signals.check()
        now = time.monotonic()
        for watched in self._watched.values():
            if not watched.spec.once:
                self._look_after(watched, now)
            elif watched.process is not None:
                _ = watched.process.exit_code  # buries one that has ended, while its id is still its own
        if now > self._logs_next:
            self._logs_next = now + LOGS_SECONDS
            for name in self._watched:
                rotate_log(self._home.log(name))
        time.sleep(TICK_SECONDS)

    def stop(self, stages: Sequence[tuple[Sequence[str], float]]) -> None:
        """Stop the named processes stage by stage, each within its seconds, and then whatever is left.

        A second signal shortens every stage to nothing.
        """
        for names, seconds in stages:
            self._stop_stage([name for name in names if name in self._watched], time.monotonic() + seconds)
        self._stop_stage(list(self._watched), time.monotonic())

    def _look_after(self, watched: _Watched, now: float) -> None:
        if watched.process is not None and watched.process.exit_code is not None:
            self._bury(watched, now)
        elif watched.process is None and now >= watched.not_before:
            try:
                watched.process = self._launch(watched.spec)
            except OSError as error:  # the others run; they must not end for it
                logger.warning("%s cannot be started again yet: %s", watched.spec.name, error)
                watched.not_before = now + AGAIN_SECONDS
            else:
                self.restarts += 1

    def _bury(self, watched: _Watched, now: float) -> None:
        process = watched.process
        if process is None:
            return
        watched.process = None
        watched.deaths.append(now)
        while watched.deaths[0] < now - WITHIN_SECONDS:
            watched.deaths.popleft()
        if len(watched.deaths) > self.deaths_allowed:
            raise StackFailed(
                f"{watched.spec.name} died {len(watched.deaths)} times within a minute: {process.last_words()}",
                hint=f"its log is {process.log}",
            )
        watched.not_before = now + self._first_pause * 2 ** (len(watched.deaths) - 1)

    def _launch(self, spec: Spec) -> Process:
        return Process(spec, log=self._home.log(spec.name), cwd=self._home.folder)

    def _stop_stage(self, names: Sequence[str], deadline: float) -> None:
        stopping = [process for name in names if (process := self._watched.pop(name).process) is not None]
        for process in stopping:
            process.terminate()
        while any(process.exit_code is None for process in stopping):
            if time.monotonic() >= deadline or self._signals.count > 1:
                break
            time.sleep(TICK_SECONDS)
        for process in stopping:
            process.kill()
