"""Targets that do what none may, to show that it would be found."""

from __future__ import annotations

import time

from tests.fuzz.targets import Target

_HOARD: list[bytearray] = []


def _crash(raw: bytes) -> None:
    if raw[:1] == b"!":
        raise KeyError("planted")


def _hang(raw: bytes) -> None:
    while raw[:1] == b"!":
        time.sleep(0.01)


def _hoard(raw: bytes) -> None:
    while raw[:1] == b"!":
        _HOARD.append(bytearray(b"x" * 2**24))
        time.sleep(0.001)


def _seeds() -> list[bytes]:
    return [b"a", b"!"]


TARGETS = {
    name: Target(name, read, (), _seeds, 4096)
    for name, read in (("planted-crash", _crash), ("planted-hang", _hang), ("planted-hoard", _hoard))
}
SAID = {
    "planted-crash": "KeyError: 'planted'",
    "planted-hang": "libFuzzer: timeout",
    "planted-hoard": "libFuzzer: out-of-memory",
}
"""What libFuzzer says of each."""
