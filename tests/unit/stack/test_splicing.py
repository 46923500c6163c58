"""Relaying in the kernel, and where the kernel cannot."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from bootpress.stack.splicing import copy, relay

KINDS = [socket.SOCK_STREAM, socket.SOCK_SEQPACKET]
"""Linux splices streams alone (EINVAL)."""


@contextmanager
def ends(kind: socket.SocketKind) -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair(socket.AF_UNIX, kind)
    with closing(one), closing(other):
        one.settimeout(30)
        yield one, other


def received(end: socket.socket) -> bytes:
    """Return what comes until the end."""
    found = b""
    while piece := end.recv(1 << 20):
        found += piece
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_byte_arrives_both_ways_and_an_end_is_passed_on(kind: socket.SocketKind) -> None:
    sent, answered = os.urandom(3_000_000), os.urandom(2_000_000)
    with ends(kind) as (client, near), ends(kind) as (server, far):
        took: set[socket.socket] = set()
        relaying = threading.Thread(target=relay, args=(near, far, took.add))
        relaying.start()
        writing = threading.Thread(target=send, args=(client, sent))
        writing.start()
        assert received(server) == sent
        answering = threading.Thread(target=send, args=(server, answered))
        answering.start()
        assert received(client) == answered
        for thread in (writing, answering, relaying):
            thread.join(30)
            assert not thread.is_alive()
        assert took == {near, far}, "who took bytes is told"


def send(end: socket.socket, content: bytes) -> None:
    for start in range(0, len(content), 60_000):
        end.sendall(content[start : start + 60_000])
    end.shutdown(socket.SHUT_WR)


def test_whoever_breaks_off_ends_the_other() -> None:
    with ends(socket.SOCK_STREAM) as (client, near), ends(socket.SOCK_STREAM) as (server, far):
        copying = threading.Thread(target=copy, args=(near, far, lambda _: None))
        copying.start()
        server.close()
        client.sendall(b"nobody reads this")
        copying.join(30)
        assert not copying.is_alive()
        assert client.recv(1) == b""


def test_no_pipe_is_left_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        with ends(socket.SOCK_STREAM) as (client, near), ends(socket.SOCK_STREAM) as (server, far):
            client.sendall(b"a")
            client.shutdown(socket.SHUT_WR)
            copy(near, far, lambda _: None)
            assert received(server) == b"a"
    assert len(list(Path("/proc/self/fd").iterdir())) == before
