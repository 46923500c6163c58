"""Relaying between two sockets in the kernel: splice(2) through a pipe, so that no byte passes through Python."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

PIPE_BYTES: Final = 1024 * 1024
PIECE_BYTES: Final = 64 * 1024
"""What an empty pipe takes at once, also where it cannot be made larger."""
F_SETPIPE_SZ: Final = 1031
Progress = Callable[[socket.socket], None]
"""Called with the socket that took some bytes, on the thread that copies to it."""


def relay(one: socket.socket, other: socket.socket, progress: Progress) -> None:
    """Copy both directions until both have ended, as two cables would: an end is passed on as an end."""
    back = threading.Thread(target=copy, args=(other, one, progress), daemon=True)
    back.start()
    copy(one, other, progress)
    back.join()


def copy(source: socket.socket, sink: socket.socket, progress: Progress) -> None:
    """Copy what comes from a blocking socket to another until it ends; whatever breaks ends both."""
    try:
        _splice_all(source, sink, progress)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # either end has gone, in the middle of its sentence: so does the other
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _splice_all(source: socket.socket, sink: socket.socket, progress: Progress) -> None:
    reading, writing = os.pipe()
    try:
        with suppress(PermissionError):  # the pipes of this user are large enough in sum
            fcntl.fcntl(writing, F_SETPIPE_SZ, PIPE_BYTES)
        while count := _take(source, writing):
            while count:
                count -= _give(reading, sink, count)
                progress(sink)
    finally:
        os.close(reading)
        os.close(writing)


def _take(source: socket.socket, pipe: int) -> int:
    """Move what has come into an empty pipe; return how much, nothing at the end."""
    try:
        return os.splice(source.fileno(), pipe, PIPE_BYTES)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.write(pipe, source.recv(PIECE_BYTES))  # a kernel that cannot splice such sockets


def _give(pipe: int, sink: socket.socket, count: int) -> int:
    """Move up to `count` bytes of a pipe on; return how much."""
    try:
        return os.splice(pipe, sink.fileno(), count)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        piece = os.read(pipe, min(count, PIECE_BYTES))
        sink.sendall(piece)
        return len(piece)
