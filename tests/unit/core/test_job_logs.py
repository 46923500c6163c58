"""Logs of jobs: bounded in what is held and shown, and harmless to whoever reads them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from bootpress.core.builds.logs import MAX_LINE, MAX_SECONDS, MAX_SHOWN, select_lines, strip_ansi
from bootpress.core.errors import ForgeUnavailable


def test_the_last_lines_that_hold_a_text_are_shown() -> None:
    pieces = [b"one fi", b"sh\ntwo fish\r\n", b"red\nblue fish\nlast"]
    assert select_lines(iter(pieces), tail=None, grep=None) == "one fish\ntwo fish\nred\nblue fish\nlast\n"
    assert select_lines(iter(pieces), tail=2, grep=None) == "blue fish\nlast\n"
    assert select_lines(iter(pieces), tail=2, grep="fish") == "two fish\nblue fish\n"
    assert select_lines(iter(pieces), tail=None, grep="f.sh") == ""
    assert select_lines(iter([]), tail=5, grep=None) == ""


def test_a_log_of_a_hundred_megabytes_takes_no_more_memory_than_its_end() -> None:
    piece = (b"one of the many lines of a long log" * 25 + b"\n") * 120

    def long_log() -> Iterator[bytes]:
        for _ in range(1_030):
            yield piece
        yield b"the end\n"

    tracemalloc.start()
    try:
        shown = select_lines(long_log(), tail=None, grep=None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(piece) * 1_030 > 100_000_000
    first, *_, last = shown.splitlines()
    assert "lines before these are left out" in first
    assert last == "the end"
    assert MAX_SHOWN * 0.9 < len(shown) < MAX_SHOWN * 1.1
    assert peak < 12 * MAX_SHOWN


def test_a_line_without_an_end_is_cut() -> None:
    shown = select_lines(iter([b"x" * 10_000] * 30), tail=None, grep=None)
    assert {len(line) for line in shown.splitlines()[:-1]} == {MAX_LINE}
    assert shown.count("x") == 300_000
    assert select_lines(iter([b"x" * (MAX_LINE + 1) + b"\ny\n"]), tail=2, grep=None) == "x\ny\n"


def test_a_log_that_never_ends_is_given_up() -> None:
    watch = iter(range(0, 10_000, 10))
    with pytest.raises(ForgeUnavailable, match=f"{MAX_SECONDS:.0f} s"):
        select_lines(iter(lambda: b"more\n", b""), tail=1, grep=None, monotonic=lambda: next(watch))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("a\x00b\x7fc\x9bd", "a␀b␡c\N{REPLACEMENT CHARACTER}d"),
        ("tab\tstays", "tab\tstays"),
        ("over\rwritten", "over␍written"),
        ("\u202egpj.exe", "\N{REPLACEMENT CHARACTER}gpj.exe"),
        ("<b>markup</b>", "<b>markup</b>"),
    ],
)
def test_nothing_in_a_log_steers_a_terminal(text: str, shown: str) -> None:
    assert strip_ansi(text) == shown


def test_what_is_made_visible_is_bounded_too() -> None:
    shown = select_lines(iter([(b"\x00" * 1000 + b"\n") * 1000]), tail=None, grep=None)
    assert "lines before these are left out" in shown.splitlines()[0]
    assert MAX_SHOWN * 0.9 < len(shown.encode()) < MAX_SHOWN + 100


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert select_lines(iter([b"\xff\xfe\n"]), tail=None, grep=None) == "\N{REPLACEMENT CHARACTER}" * 2 + "\n"
