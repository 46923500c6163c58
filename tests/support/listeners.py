"""Which TCP ports a process and its descendants listen on, as the kernel says (Linux, /proc)."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

LISTEN = "0A"


def listening_ports(pid: int) -> set[tuple[str, int]]:
    """Return address and port of every listening TCP socket that the processes hold."""
    held = {inode for process in tree(pid) for inode in _sockets(process)}
    return {where for family in ("tcp", "tcp6") for inode, where in _listeners(family) if inode in held}


def tree(pid: int) -> set[int]:
    """Return a process and all its descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _sockets(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/fd").glob("*"):
        try:
            target = os.readlink(path)  # noqa: PTH115 - no path: socket:[inode]
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target.removeprefix("socket:[").removesuffix("]"))
    return found


def _listeners(family: str) -> list[tuple[str, tuple[str, int]]]:
    found = []
    for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == LISTEN:
            address, _, port = words[1].partition(":")
            found.append((words[9], (_address(address), int(port, 16))))
    return found


def _address(text: str) -> str:
    words = [struct.pack("=I", int(text[start : start + 8], 16)) for start in range(0, len(text), 8)]
    return socket.inet_ntop(socket.AF_INET6 if len(words) > 1 else socket.AF_INET, b"".join(words))
