"""However the bytes of a signature are changed, it is rejected, or says what it said before; nothing else happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpress.adapters.cosign.signature_search import is_panic
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import SignatureRejected
from tests.support.layouts import LayoutRegistry
from tests.support.mutations import LOG_ENTRY, read_bundle, read_legacy, with_bundle, with_legacy
from tests.support.vectors import Vector, load_vectors

pytestmark = pytest.mark.slow

VECTORS = load_vectors()
VERIFIER = CosignVerifier()
BUNDLES = ["keys-v3-logged", "keyless-v3-rekor1", "keyless-v3-rekor2"]
LEGACY = ["keys-v2-logged", "keyless-v2"]


@st.composite
def edits(draw: st.DrawFn, raw: bytes) -> bytes:
    """Cut, repeat, replace or insert something somewhere, a few times."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 40)))
        middle = draw(st.one_of(st.binary(max_size=8), st.just(raw[start:end] * 2), st.sampled_from(TOKENS)))
        raw = raw[:start] + middle + raw[end:]
    return raw


TOKENS = [b"null", b"{}", b"[]", b'"', b",", b":", b"1e999", b"-1", b"\\ud800", b'"a":', b"true", b"\x00", b"\n", b"=="]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def replace_somewhere(draw: st.DrawFn, document: Any) -> Any:
    """Put other JSON in the place of one member, somewhere in a document."""
    if isinstance(document, dict) and document and draw(st.integers(0, 5)):
        name = draw(st.sampled_from(sorted(document)))
        return document | {name: replace_somewhere(draw, document[name])}
    if isinstance(document, list) and document and draw(st.integers(0, 5)):
        place = draw(st.integers(0, len(document) - 1))
        return [*document[:place], replace_somewhere(draw, document[place]), *document[place + 1 :]]
    return draw(JSON)


@st.composite
def structural_edits(draw: st.DrawFn, document: Any) -> Any:
    """Change a document as JSON."""
    return replace_somewhere(draw, document)


def judge(vector: Vector, registry: LayoutRegistry) -> None:
    """Make sure that the verdict is rejected, or what it is for the unchanged signature."""
    reason = ""
    try:
        found = VERIFIER.verify(registry, vector.repository, vector.digest, vector.policy)
    except SignatureRejected as error:
        reason = str(error)
    if reason:
        assert reason.isprintable()
        return
    honest = VERIFIER.verify(vector.open(), vector.repository, vector.digest, vector.policy)
    assert (found.signer, found.format) == (honest.signer, honest.format)


@pytest.mark.parametrize("name", BUNDLES)
@settings(max_examples=150)
@given(data=st.data())
def test_changed_bytes_of_a_bundle(name: str, data: st.DataObject) -> None:
    vector = VECTORS[name]
    raw = json.dumps(read_bundle(vector)).encode()
    judge(vector, with_bundle(vector, data.draw(edits(raw))))


@pytest.mark.parametrize("name", BUNDLES)
@settings(max_examples=150)
@given(data=st.data())
def test_changed_members_of_a_bundle(name: str, data: st.DataObject) -> None:
    vector = VECTORS[name]
    changed = data.draw(structural_edits(read_bundle(vector)))
    judge(vector, with_bundle(vector, json.dumps(changed).encode()))


@pytest.mark.parametrize("name", LEGACY)
@settings(max_examples=150)
@given(data=st.data())
def test_changed_parts_of_a_cosign_2_signature(name: str, data: st.DataObject) -> None:
    vector = VECTORS[name]
    payload, annotations = read_legacy(vector)
    part = data.draw(st.sampled_from(["payload", *sorted(annotations)]))
    if part == "payload":
        payload = data.draw(edits(payload))
    else:
        changed = data.draw(edits(annotations[part].encode())).decode(errors="surrogateescape")
        annotations = annotations | {part: changed}
    judge(vector, with_legacy(vector, (payload, annotations)))


@pytest.mark.parametrize("name", LEGACY)
@settings(max_examples=150)
@given(data=st.data())
def test_changed_members_of_a_cosign_2_log_entry(name: str, data: st.DataObject) -> None:
    vector = VECTORS[name]
    payload, annotations = read_legacy(vector)
    changed = data.draw(structural_edits(json.loads(annotations[LOG_ENTRY])))
    judge(vector, with_legacy(vector, (payload, annotations | {LOG_ENTRY: json.dumps(changed)})))


def test_a_panic_of_a_rust_extension_is_told_from_an_exit() -> None:
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
    assert is_panic(panic())
    assert not is_panic(KeyboardInterrupt())
    assert not is_panic(SystemExit())
