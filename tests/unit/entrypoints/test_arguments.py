"""Words of the command line become the fields that an operation's schema asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.errors import InvalidInput
from bootpress.core.operation_registry import OPERATIONS
from bootpress.entrypoints.cli.arguments import read_fields

CREATE = OPERATIONS["system_create_node_platform"].request.model_json_schema()
EVENTS = OPERATIONS["recent_events"].request.model_json_schema()
FORGE = OPERATIONS["system_connect_forge"].request.model_json_schema()
REGISTRY = OPERATIONS["system_connect_registry"].request.model_json_schema()


@pytest.mark.parametrize(
    ("schema", "words", "fields"),
    [
        (EVENTS, ["limit=5", "platform=7"], {"limit": 5, "platform": "7"}),
        (EVENTS, ["limit:=5", 'platform:="7"'], {"limit": 5, "platform": "7"}),
        (EVENTS, ["platform=a=b"], {"platform": "a=b"}),
        (EVENTS, ["platform="], {"platform": ""}),
        (EVENTS, ["unknown=5"], {"unknown": "5"}),
        (REGISTRY, ["plain_http=true"], {"plain_http": True}),
        (CREATE, ["trust.mode=keys", "trust.public_keys=PEM"], {"trust": {"mode": "keys", "public_keys": ["PEM"]}}),
        (CREATE, ["trust.public_keys=A", "trust.public_keys=B"], {"trust": {"public_keys": ["A", "B"]}}),
        (CREATE, ['trust.public_keys=["A", "B"]'], {"trust": {"public_keys": ["A", "B"]}}),
        (CREATE, ['trust={"mode": "keys"}'], {"trust": {"mode": "keys"}}),
        (CREATE, ["trust.trusted_root=public-good"], {"trust": {"trusted_root": "public-good"}}),
        (CREATE, ['trust.trusted_root={"a": 1}'], {"trust": {"trusted_root": {"a": 1}}}),
        (CREATE, ["name=null", "forge:=null"], {"name": "null", "forge": None}),
        (None, ["limit=5"], {"limit": "5"}),
    ],
)
def test_a_word_becomes_what_its_schema_asks_for(
    schema: dict[str, Any] | None, words: list[str], fields: dict[str, Any]
) -> None:
    assert read_fields(words, schema) == fields


@pytest.mark.parametrize(
    "words",
    [["limit"], ["=5"], ["limit=five"], ["limit:=five"], ["a..b=1"], ["limit=1", "limit=2"], ["a=1", "a.b=2"], [":=1"]],
)
def test_a_word_that_cannot_be_read_is_refused(words: list[str]) -> None:
    with pytest.raises(InvalidInput):
        read_fields(words, EVENTS)


def test_a_word_of_another_kind_is_told_what_its_field_takes() -> None:
    with pytest.raises(InvalidInput, match="limit: 'five' is not a whole number"):
        read_fields(["limit=five"], EVENTS)


def test_a_file_is_text_json_or_the_one_of_a_list(tmp_path: Path) -> None:
    key, policy = tmp_path / "key.pub", tmp_path / "policy.json"
    key.write_text("PEM\n")
    policy.write_text('{"mode": "keys"}')
    assert read_fields([f"name=@{key}"], CREATE) == {"name": "PEM\n"}
    assert read_fields([f"trust.public_keys=@{key}"], CREATE) == {"trust": {"public_keys": ["PEM\n"]}}
    assert read_fields([f"trust=@{policy}"], CREATE) == {"trust": {"mode": "keys"}}
    assert read_fields(['name:="@home"'], CREATE) == {"name": "@home"}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_of_a_file_goes_without_the_end_of_its_line(end: str, tmp_path: Path) -> None:
    file = tmp_path / "gitea.token"
    file.write_bytes(b" to ken" + end.encode())
    assert read_fields([f"token=@{file}", f"username=@{file}"], REGISTRY) == {
        "token": " to ken",
        "username": f" to ken{end}",
    }
    assert read_fields([f"token=@{file}"], FORGE) == {"token": " to ken"}


def test_a_file_that_is_missing_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    large, binary = tmp_path / "large", tmp_path / "binary"
    large.write_bytes(b"x" * (2**20 + 1))
    binary.write_bytes(b"\xff\xfe")
    for path in (large, binary, tmp_path / "missing", tmp_path):
        with pytest.raises(InvalidInput, match="name"):
            read_fields([f"name=@{path}"], CREATE)


@given(st.lists(st.text(max_size=40).filter(lambda word: "@" not in word), max_size=4))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    try:
        fields = read_fields(words, CREATE)
    except InvalidInput:
        return
    assert isinstance(fields, dict)


@pytest.mark.parametrize(
    "word", ['trust:={"a": 1, "a": 2}', 'trust={"a": NaN}', 'trust:="\\ud800"', "trust:=" + "[" * 201 + "]" * 201]
)
def test_json_that_would_lose_something_on_its_way_is_refused(word: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_fields([word], CREATE)
    assert caught.value.field == "trust"
