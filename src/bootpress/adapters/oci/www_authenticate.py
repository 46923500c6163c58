"""What a registry asks for with 401: the WWW-Authenticate header (RFC 9110, 11.6.1; distribution token spec)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_HEADER = 8192

_SCHEME = re.compile(r"[\s,]*([A-Za-z][A-Za-z0-9._-]*)(?:\s+|$|(?=,))")
_PARAMETER = re.compile(r'[\s,]*([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One scheme (lower case) with its parameters (names in lower case)."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Read the challenges of all WWW-Authenticate headers; what cannot be read ends its header."""
    return [challenge for header in headers for challenge in _parse_header(header[:MAX_HEADER])]


def choose_challenge(headers: Iterable[str]) -> Challenge | None:
    """Return the challenge to answer: Bearer with a realm, else Basic, else None."""
    challenges = parse_challenges(headers)
    bearers = [challenge for challenge in challenges if challenge.scheme == "bearer" and challenge.parameters["realm"]]
    basics = [challenge for challenge in challenges if challenge.scheme == "basic"]
    return next(iter([*bearers, *basics]), None)


def _parse_header(header: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    position = 0
    while scheme := _SCHEME.match(header, position):
        position = scheme.end()
        parameters: dict[str, str] = {"realm": ""}
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            name, quoted, bare = parameter.groups()
            parameters[name.lower()] = _ESCAPED.sub(r"\1", quoted) if quoted is not None else bare
        challenges.append(Challenge(scheme[1].lower(), parameters))
    return challenges
