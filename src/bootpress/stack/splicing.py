"""Relaying between two sockets in the kernel: splice(2) through a pipe, so that no byte passes through Python."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from contextlib import suppress
from typing import Final

PIPE_BYTES: Final = 1024 * 1024
F_SETPIPE_SZ: Final = 1031


def relay(one: socket.socket, other: socket.socket) -> None:
    """Copy both directions until both have ended, as two cables would: an end is passed on as an end."""
    back = threading.Thread(target=copy, args=(other, one), daemon=True)
    back.start()
    copy(one, other)
    back.join()


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy what comes from a blocking socket to another until it ends; whatever breaks ends both."""
    try:
        _splice_all(source, sink)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # either end has gone, in the middle of its sentence: so does the other
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _splice_all(source: socket.socket, sink: socket.socket) -> None:
    reading, writing = os.pipe()
    try:
        with suppress(PermissionError):  # the pipes of this user are large enough in sum
            fcntl.fcntl(writing, F_SETPIPE_SZ, PIPE_BYTES)
        while count := os.splice(source.fileno(), writing, PIPE_BYTES):
            while count:
                count -= os.splice(reading, sink.fileno(), count)
    finally:
        os.close(reading)
        os.close(writing)
