"""What a delivery's body may say: aliases, claims, empty values, contradictions, hostile bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.deliveries.payload import MAX_BODY, MAX_IMAGE_BYTES, DeliveryPayload, read_announcement
from bootpress.core.errors import InvalidInput

DIGEST, OTHER = f"sha256:{'0a' * 32}", f"sha256:{'0b' * 32}"
LEAST = {"platform_slug": "edge", "oci_ref": "/os/images:v1"}


def read(**fields: Any) -> DeliveryPayload:
    return read_announcement(json.dumps({**LEAST, **fields}).encode())


def refused(**fields: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read(**fields)
    return caught.value


def test_slug_and_reference_are_enough() -> None:
    said = read()
    assert (said.platform_slug, said.oci_ref, said.digest, said.claims) == ("edge", "/os/images:v1", None, {})


def test_platform_name_is_another_word_for_platform_slug_which_wins() -> None:
    assert read_announcement(b'{"platform_name": "edge", "oci_ref": "/a:v1"}').platform_slug == "edge"
    assert read(platform_name="other").platform_slug == "edge"
    assert read(platform_slug="", platform_name="other").platform_slug == "other"


def read_or_none(fields: dict[str, Any]) -> DeliveryPayload | None:
    try:
        return read(**fields)
    except InvalidInput:
        return None


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_value_is_one_that_is_not_there(empty: str | None) -> None:
    optional = set(DeliveryPayload.model_fields) - set(LEAST)
    assert read(**dict.fromkeys(optional, empty)) == read()
    for name in LEAST:
        assert refused(**{name: empty}).field == name


def test_what_is_claimed_is_kept_and_what_is_unknown_is_not() -> None:
    said = read(git_sha="abc", run_id=12, dispatch_id="d", colour="red", size_bytes=7, sha256=DIGEST.upper())
    assert said.claims == {
        "git_sha": "abc", "run_id": "12", "dispatch_id": "d", "size_bytes": 7, "sha256": DIGEST.upper(),
    }  # fmt: skip
    assert said.manifest_sha256 == "0a" * 32


def test_a_digest_is_found_in_either_field_and_wins_over_the_tag() -> None:
    assert read(oci_digest=DIGEST).digest == DIGEST
    assert read(oci_ref=f"/os/images:v1@{DIGEST}").digest == DIGEST
    assert read(oci_ref=f"/os/images@{DIGEST}", oci_digest=DIGEST).digest == DIGEST


def test_two_digests_that_differ_are_refused_by_name() -> None:
    error = refused(oci_ref=f"/os/images@{OTHER}", oci_digest=DIGEST)
    assert error.field == "oci_digest"
    assert DIGEST in error.message
    assert OTHER in error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("oci_digest", "sha256:00"),
        ("oci_digest", DIGEST.upper()),
        ("oci_ref", "/os/images:v 1"),
        ("oci_ref", "/OS/images"),
        ("oci_ref", "/a" * 600),
        ("oci_ref", ["/os/images"]),
        ("platform_slug", 7),
        ("platform_slug", "a\0b"),
        ("platform_slug", "x" * 2049),
        ("git_sha", "a\0b"),
        ("git_sha", {"a": 1}),
        ("run_id", True),
        ("run_id", 1.5),
        ("run_id", 10**3000),
        ("size_bytes", -1),
        ("size_bytes", MAX_IMAGE_BYTES + 1),
        ("size_bytes", 10**3000),
        ("size_bytes", 1.5),
        ("size_bytes", "many"),
        ("size_bytes", "7"),
        ("size_bytes", True),
        ("arch", []),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(field: str, value: object) -> None:
    assert refused(**{field: value}).field == field


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"a":' * 10_000, b'{"oci_ref": "/a", "oci_ref": "/b"}'])
def test_what_is_no_object_is_refused_without_naming_a_field(raw: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_announcement(raw)
    assert caught.value.field is None


@given(st.dictionaries(st.sampled_from(sorted(DeliveryPayload.model_fields)), st.none() | st.integers() | st.text()))
def test_whatever_fields_hold_is_read_or_refused_by_name(fields: dict[str, Any]) -> None:
    said = read_or_none(fields)
    if said is None:
        assert refused(**fields).field in DeliveryPayload.model_fields
        return
    stored = json.dumps(said.claims) + said.platform_slug + said.oci_ref
    assert "\0" not in stored
    stored.encode()


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_announcement(raw)


def test_a_body_of_thousands_of_unknown_fields_is_read() -> None:
    filler = ",".join(f'"k{number}":{number}' for number in range(4500))
    raw = f'{{"platform_slug":"edge","oci_ref":"/a:v1",{filler}}}'.encode()
    assert len(raw) < MAX_BODY
    assert read_announcement(raw).claims == {}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("OCI_REF", "oci_ref"), ("Platform_Slug", "platform_slug"), ("PLATFORM_NAME", "platform_name"),
     ("\u017fha256", "sha256"), ("\u017fize_bytes", "size_bytes")],
)  # fmt: skip
def test_a_field_in_another_spelling_is_refused_by_its_name(name: str, meant: str) -> None:
    error = refused(**{name: "something"})
    assert error.field == meant
    assert "is another spelling of" in error.message


def test_unknown_fields_that_fold_to_one_another_are_refused() -> None:
    assert "are one to a reader that ignores case" in refused(note="a", NOTE="b").message
