"""Ports on this machine for servers that a test starts."""

from __future__ import annotations

import itertools
import os
import socket

# Below the range that the kernel gives to outgoing connections (Linux: from 32768): a port from there may be taken
# between our look and the server's bind. Above the defaults of the contract (4200, 5000, 8480).
FIRST, LAST = 20_000, 32_000

# Each process of a run has a range of its own. Runs side by side start elsewhere in it, and rarely meet.
_share = (LAST - FIRST) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_first = FIRST + _share * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_candidates = itertools.cycle(range(_first, _first + _share))
for _ in range(os.getpid() * 97 % _share):
    next(_candidates)


def free_port() -> int:
    """Return a port on which nothing listens, one that this process has not given out lately."""
    for port in itertools.islice(_candidates, _share):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port between {_first} and {_first + _share} is free")
