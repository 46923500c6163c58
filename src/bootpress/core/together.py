"""Work that is cheaper for many than for each: of the threads that come at once, one does it for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from bootpress.core.errors import CatalogUnavailable

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 64


class _Asked(Generic[T, R]):
    """One thread's question, and its answer once somebody has it."""

    def __init__(self, question: T) -> None:
        self.question = question
        self.answers: list[R] = []
        self.error: BaseException | None = None

    @property
    def is_open(self) -> bool:
        return not self.answers and self.error is None


class Together(Generic[T, R]):
    """Asks `work` for at most AT_ONCE questions in one call; it gives an answer for each, in their order.

    Nobody waits for others to come: the first asks at once, and for all who came while the last call was under way.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._work = work
        self._queue: list[_Asked[T, R]] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def ask(self, question: T) -> R:
        """Return the answer to a question, or raise what `work` raised for it."""
        mine = _Asked[T, R](question)
        with self._lock:
            self._queue.append(mine)
        with self._turn:
            while mine.is_open:  # else another thread asked for us while we waited for our turn
                with self._lock:
                    group, self._queue = self._queue[:AT_ONCE], self._queue[AT_ONCE:]
                self._ask(group)
        if mine.error is not None:
            raise mine.error
        return mine.answers[0]

    def _ask(self, group: Sequence[_Asked[T, R]]) -> None:
        try:
            answers = self._work([one.question for one in group])
        except BaseException as error:
            if len(group) > 1 and isinstance(error, Exception) and not isinstance(error, CatalogUnavailable):
                for one in group:  # a question that cannot be answered must not take the others with it
                    self._ask([one])
                return
            for one in group:
                one.error = error  # raised again by everybody's `ask`
            if not isinstance(error, Exception):
                raise
            return
        for one, answer in zip(group, answers, strict=True):
            one.answers.append(answer)
