"""References: what is read comes out as it was written, and nothing else is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.errors import InvalidInput
from bootpress.core.references import (
    Repository,
    digest_hex,
    is_loopback,
    parse_digest,
    parse_reference,
    parse_repository,
)

DIGEST = f"sha256:{'0a' * 32}"
WORD = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
HOSTS = st.one_of(
    st.just("localhost"),
    st.builds("{}.example".format, WORD),
    st.builds("{}:{}".format, WORD, st.integers(0, 65535)),
    st.builds("[::{}]".format, st.from_regex(r"[0-9a-f]{1,4}", fullmatch=True)),
    st.builds("[::1]:{}".format, st.integers(0, 65535)),
)
PATHS = st.lists(st.one_of(WORD, st.builds("{}__{}-{}".format, WORD, WORD, WORD)), min_size=1, max_size=4).map("/".join)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,30}", fullmatch=True)
DIGESTS = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@given(HOSTS, PATHS, st.none() | TAGS, st.none() | DIGESTS)
def test_a_reference_comes_out_as_it_was_written(host: str, path: str, tag: str | None, digest: str | None) -> None:
    text = f"{host}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    reference = parse_reference(text)
    assert (reference.repository, reference.tag, reference.digest) == (Repository(host, path), tag, digest)
    assert str(reference) == text
    assert parse_reference(str(reference)) == reference


@given(PATHS, st.none() | TAGS)
def test_a_reference_without_a_host_is_read_against_the_default_one(path: str, tag: str | None) -> None:
    suffix = f":{tag}" if tag else ""
    assert str(parse_reference(f"/{path}{suffix}", default_host="host:5000")) == f"host:5000/{path}{suffix}"
    if "/" in path and path.split("/", maxsplit=1)[0] != "localhost":
        assert str(parse_reference(f"{path}{suffix}", default_host="host:5000")) == f"host:5000/{path}{suffix}"
    with pytest.raises(InvalidInput, match="names no registry host"):
        parse_reference(f"/{path}{suffix}")


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        reference = parse_reference(text, default_host="localhost")
    except InvalidInput:
        return
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "localhost/",
        "localhost/A",
        "localhost//a",
        "localhost/a/",
        "localhost/../a",
        "localhost/a:",
        "localhost/a:b:c",
        "localhost/a:-b",
        f"localhost/a:{'b' * 129}",
        f"localhost/{'a' * 256}",
        "localhost/a@",
        "localhost/a@sha256:00",
        f"localhost/a@{DIGEST}@{DIGEST}",
        f"localhost/a@{DIGEST.upper()}",
        "https://localhost/a",
        "user@localhost/a",
        "host:65536/a",
        "host:99999/a",
        "host:/a",
        "host:port/a",
        "[::1/a",
        "[::1]:65536/a",
        "ho_st.example/a",
        "höst.example/a",
        "localhost/a\n/b",
        "localhost/a\0",
        "localhost/" + "a/" * 600 + "a",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_reference(text, default_host="localhost")


@pytest.mark.parametrize("text", [f"localhost/a@{DIGEST}", "localhost/a:tag", "a/b"])
def test_a_repository_has_a_host_and_neither_tag_nor_digest(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_repository(text)


def test_a_host_is_compared_in_lower_case_and_keeps_its_port() -> None:
    assert parse_repository("Registry.Example:443/os/images") == Repository("registry.example:443", "os/images")
    assert parse_repository("registry.example/os") != parse_repository("registry.example:443/os")


@pytest.mark.parametrize(
    "text",
    [
        "sha512:00",
        "0a" * 32,
        f"{DIGEST}0",
        DIGEST.upper(),
        f" {DIGEST}",
        f"{DIGEST}\n",
        "\N{ARABIC-INDIC DIGIT ZERO}" * 64,
    ],
)
def test_only_a_lower_case_sha256_digest_is_one(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_digest(text)
    assert digest_hex(parse_digest(DIGEST)) == "0a" * 32


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST:5000", True),
        ("127.0.0.1", True),
        ("127.9.9.9:5000", True),
        ("[::1]", True),
        ("[::1]:5000", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1:5000", False),
        ("[2001:db8::1]:5000", False),
        ("0.0.0.0", False),  # noqa: S104 - an address, not a server
    ],
)
def test_a_loopback_host_is_judged_by_its_name(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback
    assert Repository(host, "a").is_loopback is loopback
