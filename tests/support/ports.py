"""Ports on this machine for servers that a test starts."""

from __future__ import annotations

import itertools
import os
import socket

# Below the range that the kernel gives to outgoing connections (Linux: from 32768): a port from there may be taken
# between our look and the server's bind. Above the defaults of the contract (4200, 5000, 8480).
FIRST, LAST = 20_000, 32_000

# Each process starts elsewhere, so that test runs side by side rarely try the same port; none is given twice.
_candidates = itertools.cycle(range(FIRST, LAST))
for _ in range(os.getpid() * 97 % (LAST - FIRST)):
    next(_candidates)


def free_port() -> int:
    """Return a port on which nothing listens, one that this process has not given out lately."""
    for port in itertools.islice(_candidates, LAST - FIRST):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port between {FIRST} and {LAST} is free")
