"""JSON from outsiders is read whole or refused."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.errors import InvalidInput
from bootpress.core.strict_json import parse_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_an_object_comes_out_as_it_was_written(value: dict[str, object]) -> None:
    assert parse_object(json.dumps(value).encode(), what="it") == value


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    try:
        value = parse_object(raw, what="it")
    except InvalidInput:
        return
    assert isinstance(value, dict)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "is not JSON"),
        (b"[]", "is a JSON list, not an object"),
        (b'"x"', "is a JSON str, not an object"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON value"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b'{"a": [-1e999]}', "the number -1e999 is too large"),
        (b'{"a": 1, "a": 1}', "the key 'a' is there twice"),
        (b'{"x": {"b": 1, "c": 2, "b": 3}}', "the key 'b' is there twice"),
        (b"\xff{}", "is not JSON"),
        (b'{"a": "\\ud800"}', "is not JSON"),
        (b'{"\\udc00": 1}', "is not JSON"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "is not JSON"),
        (b'{"a":' * 30_000, "is nested too deeply"),
        (b'{"a":' + b"[" * 60_000, "is nested too deeply"),
        (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "is nested too deeply: in more than 200 lists and objects"),
        (b'{"a":' * 201 + b"1" + b"}" * 201, "is nested too deeply: in more than 200 lists and objects"),
        (b'{"a": "\\\\\\uDC00 and \\uD800"}', "is not JSON"),
    ],
)
def test_what_is_no_strict_object_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(InvalidInput, match=f"^it {reason}" if reason.startswith("is ") else reason) as caught:
        parse_object(raw, what="it")
    assert caught.value.field is None
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":' + b"[" * 199 + b"]" * 199 + b"}",
        b'{"a":' * 199 + b"[]" + b"}" * 199,
        b'{"a":[' + b"[[]]," * 5000 + b"1]}",
        b'{"a": "' + b"[{" * 5000 + b'"}',
        b'{"\\ud83d\\ude00": "\\\\ud800"}',
    ],
    ids=["lists", "objects", "many beside one another", "in a text", "a whole surrogate pair"],
)
def test_what_is_no_deeper_or_stranger_than_that_is_read(raw: bytes) -> None:
    assert parse_object(raw, what="it") == json.loads(raw)


@pytest.mark.parametrize("part", [b"{},", b"[],", b'{"a":1},', b"1,"])
def test_text_that_is_nothing_but_structure_is_refused_unread(part: bytes) -> None:
    with pytest.raises(InvalidInput, match="it has more than 250000 brackets, commas and colons"):
        parse_object(b'{"a":[' + part * 250_000 + b"1]}", what="it")


def test_a_long_text_of_few_parts_is_read() -> None:
    assert parse_object(b'{"a":"' + b"x" * 4_000_000 + b'"}', what="it") == {"a": "x" * 4_000_000}


def test_many_keys_of_which_the_last_two_repeat_are_refused_at_once() -> None:
    pairs = ",".join(f'"{number}":1' for number in range(100_000))
    begun = time.process_time()
    with pytest.raises(InvalidInput, match="'99999' is there twice"):
        parse_object(f'{{{pairs},"99999":1}}'.encode(), what="it")
    assert time.process_time() - begun < 5
