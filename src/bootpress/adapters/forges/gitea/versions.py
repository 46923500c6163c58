"""Gitea's versions, and which of them has what."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from bootpress.core.errors import Unsupported

# Forgejo calls itself `11.0.1+gitea-1.22.0`: what counts is the Gitea whose API it keeps to.
_NUMBERS = re.compile(r"(?:.{0,60}\+gitea-)?v?([0-9]{1,4})\.([0-9]{1,4})", re.ASCII)


class Feature(enum.Enum):
    """What not every version has: what it is, and the first version with it (Gitea's changelog)."""

    DISPATCH = ("API to dispatch workflows", (1, 24))
    LOGS = ("API for the logs of jobs", (1, 24))
    RUNNERS = ("API for runners", (1, 24))
    RUNS = ("API for workflow runs", (1, 25))
    RUN_DETAILS = ("answer to a dispatch that says the run's id", (1, 26))

    @property
    def what(self) -> str:
        """Return what it is."""
        return self.value[0]

    @property
    def since(self) -> tuple[int, int]:
        """Return the first version that has it."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Version:
    """A version as Gitea writes it, and its first two numbers; None where it has none (a build of a branch)."""

    text: str
    numbers: tuple[int, int] | None

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read a version, of whatever form."""
        found = _NUMBERS.match(text)
        shown = "".join(character for character in text[:100] if character.isprintable())
        return cls(shown, (int(found[1]), int(found[2])) if found else None)

    def has(self, feature: Feature) -> bool:
        """Tell whether it says that it is a version with a feature."""
        return self.numbers is not None and self.numbers >= feature.since


def unsupported_error(version: Version, feature: Feature) -> Unsupported:
    """Say that a version lacks a feature, and which one has it."""
    major, minor = feature.since
    return Unsupported(f"Gitea {version.text} has no {feature.what}", hint=f"Gitea {major}.{minor} has it")
