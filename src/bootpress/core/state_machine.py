"""State machines as tables of named transitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from bootpress.core.errors import IllegalTransition

S = TypeVar("S", bound=StrEnum)


@dataclass(frozen=True)
class StateMachine(Generic[S]):
    """The moves that one kind of row may make, each with the states it may start from."""

    noun: str
    moves: Mapping[str, tuple[frozenset[S], S]]

    def transition(self, name: str, state: S) -> S:
        """Return the state that move `name` leads to; IllegalTransition names both states."""
        sources, target = self.moves[name]
        if state not in sources:
            allowed = ", ".join(sorted(sources))
            raise IllegalTransition(
                f"a {self.noun} that is {state} cannot become {target} ({name})",
                hint=f"{name} starts from: {allowed}",
            )
        return target
