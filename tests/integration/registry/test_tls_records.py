"""What comes by TLS is read record by record, and handed on in larger chunks."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import httpcore
import pytest

from bootpress.adapters.oci import Clock
from bootpress.adapters.oci.network import MAX_RECORDS, RECORD, Stream, ThreadDeadlines, TransferDeadline
from tests.support.tls import Tls, make_tls

SECONDS = 10
READ = 1 << 20


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return make_tls(tmp_path_factory.mktemp("tls"), ["registry.test"])


@contextmanager
def connected(tls: Tls, keeper: ThreadDeadlines | None = None) -> Iterator[tuple[ssl.SSLSocket, Stream]]:
    """Give both ends of a TLS connection: the other side's, and ours as httpcore has it."""
    with ThreadPoolExecutor(1) as pool, socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(SECONDS)
        plain = httpcore.SyncBackend().connect_tcp("127.0.0.1", listening.getsockname()[1], SECONDS)
        accepted, _ = listening.accept()
        accepted.settimeout(SECONDS)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what was sent is there
        shaken = pool.submit(tls.server.wrap_socket, accepted, server_side=True)
        ours = Stream(plain, keeper or ThreadDeadlines()).start_tls(tls.client, "registry.test", SECONDS)
        assert isinstance(ours, Stream)
        with shaken.result(SECONDS) as theirs, closing(ours):
            yield theirs, ours


def close(theirs: ssl.SSLSocket) -> None:
    theirs.unwrap()


def cut(theirs: ssl.SSLSocket) -> None:
    theirs.close()


@pytest.mark.parametrize("asked", [READ, 3 * RECORD])
def test_records_that_are_there_come_together_and_no_others_are_waited_for(tls: Tls, asked: int) -> None:
    with connected(tls) as (theirs, ours):
        theirs.sendall(b"a" * 2 * RECORD + b"b")
        theirs.sendall(b"c")
        assert ours.read_available(asked, SECONDS) == b"a" * 2 * RECORD + b"bc"
        theirs.sendall(b"d")
        assert ours.read_available(asked, SECONDS) == b"d"


def test_no_byte_more_is_taken_than_is_asked_for(tls: Tls) -> None:
    with connected(tls) as (theirs, ours):
        theirs.sendall(b"a" * RECORD + b"b" * 100)
        assert ours.read_available(RECORD + 50, SECONDS) == b"a" * RECORD + b"b" * 50
        assert ours.read_available(READ, SECONDS) == b"b" * 50


def test_of_many_small_records_some_are_left_for_later(tls: Tls) -> None:
    with connected(tls) as (theirs, ours):
        for _ in range(MAX_RECORDS + 10):
            theirs.sendall(b"a")
        assert [len(ours.read_available(READ, SECONDS)) for _ in range(2)] == [MAX_RECORDS, 10]


def test_what_was_written_in_between_is_read(tls: Tls) -> None:
    with connected(tls) as (theirs, ours):
        for word in (b"one", b"two"):
            ours.write(word, SECONDS)
            assert theirs.recv(10) == word
            theirs.sendall(word)
            assert ours.read(10, SECONDS) == word


@pytest.mark.parametrize("end", [close, cut])
def test_the_end_comes_after_the_last_record(tls: Tls, end: Callable[[ssl.SSLSocket], None]) -> None:
    with connected(tls) as (theirs, ours), ThreadPoolExecutor(1) as pool:
        theirs.sendall(b"a")
        ended = pool.submit(end, theirs)
        assert ours.read_available(READ, SECONDS) == b"a"
        assert [ours.read_available(READ, SECONDS), ours.read_available(READ, SECONDS)] == [b"", b""]
        ours.close()
        assert ended.exception(SECONDS) is None or isinstance(ended.exception(), OSError)


def test_a_record_that_was_tampered_with_is_an_error(tls: Tls) -> None:
    with connected(tls) as (theirs, ours):
        raw = socket.socket(fileno=theirs.detach())
        with raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            with pytest.raises(httpcore.ReadError):
                ours.read_available(READ, SECONDS)


def test_silence_is_as_long_as_is_allowed(tls: Tls) -> None:
    keeper = ThreadDeadlines()
    with connected(tls, keeper) as (_, ours):
        with pytest.raises(httpcore.ReadTimeout, match=r"nothing came for 0\.05 s"):
            ours.read_available(READ, 0.05)
        timing = Clock()
        watch = TransferDeadline(timing, timing.monotonic() + 0.05)
        with keeper.using(watch), pytest.raises(httpcore.ReadTimeout, match="as a whole"):
            ours.read_available(READ, SECONDS)
