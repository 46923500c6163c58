"""The table of connections: the idle timeout, and who gives way where it is full."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from bootpress.stack.idle_connections import Bounds, Connection, ConnectionTable


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Clients:
    """A table, and the far ends of what is in it."""

    def __init__(self, opened: ExitStack, bounds: Bounds) -> None:
        self.clock = Clock()
        self.table = ConnectionTable(bounds, now=self.clock)
        self._opened = opened

    def pair(self) -> tuple[socket.socket, socket.socket]:
        near, far = socket.socketpair()
        far.settimeout(30)
        self._opened.callback(near.close)
        self._opened.callback(far.close)
        return near, far

    def connect(self) -> tuple[Connection, socket.socket]:
        """Add a connection, whose thread ends with it."""
        near, far = socket.socketpair()
        far.settimeout(30)
        connection = self.table.add(near)
        serving = threading.Thread(target=self._serve, args=(connection,), daemon=True)
        serving.start()
        self._opened.callback(serving.join, 30)
        self._opened.callback(far.close)
        return connection, far

    def _serve(self, connection: Connection) -> None:
        connection.client.recv(1)
        self.table.remove(connection)
        connection.close()


@pytest.fixture
def three() -> Iterator[Clients]:
    with ExitStack() as opened:
        yield Clients(opened, Bounds(connections=3, idle=60, grace=5))


def test_who_passes_no_byte_for_the_idle_timeout_is_cut_off_on_both_sides(three: Clients) -> None:
    (idle, far), (used, _) = three.connect(), three.connect()
    server, far_server = three.pair()
    three.table.serve_by(idle, server)
    three.clock.seconds += 59
    three.table.touch(used, used.client)
    three.table.cut_off_idle()
    assert not idle.is_cut_off
    three.clock.seconds += 1
    three.table.cut_off_idle()
    assert (far.recv(1), far_server.recv(1)) == (b"", b"")
    assert not used.is_cut_off


def test_a_full_table_gives_the_place_of_who_is_idle_for_longest(three: Clients) -> None:
    opened = []
    for _ in range(3):
        opened.append(three.connect()[0])
        three.clock.seconds += 5
    three.table.touch(opened[0], opened[0].client)
    three.connect()
    assert [one.is_cut_off for one in opened] == [False, True, False]


def test_who_may_be_waiting_for_an_answer_gives_way_last(three: Clients) -> None:
    opened = [three.connect()[0] for _ in range(3)]
    server, _ = three.pair()
    three.table.serve_by(opened[0], server)
    three.table.touch(opened[0], server)
    three.clock.seconds += 5
    for one in opened[1:]:
        three.table.touch(one, one.client)
    three.clock.seconds += 5
    three.connect()
    three.connect()
    assert [one.is_cut_off for one in opened] == [False, True, True]
    three.connect()
    assert opened[0].is_cut_off, "the others have just come"


def test_a_server_that_is_found_after_the_cut_is_cut_off_too(three: Clients) -> None:
    connection, _ = three.connect()
    three.clock.seconds += 60
    three.table.cut_off_idle()
    server, far_server = three.pair()
    three.table.serve_by(connection, server)
    assert far_server.recv(1) == b""


def test_who_is_in_use_is_not_cut_off_and_the_newcomer_waits_for_a_place(three: Clients) -> None:
    opened = [three.connect() for _ in range(3)]
    waiting = threading.Thread(target=three.connect, daemon=True)
    waiting.start()
    opened[1][1].close()
    waiting.join(30)
    assert not waiting.is_alive()
    assert not any(connection.is_cut_off for connection, _ in opened)
