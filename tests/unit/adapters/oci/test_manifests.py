"""Reading manifests: what is taken, what is refused, and that nothing else ever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.adapters.oci.manifests import (
    ACCEPTED,
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    digest_of,
    parse_manifest,
    parse_referrers,
)
from bootpress.core.errors import ContentRejected

DIGEST = "sha256:" + "a" * 64
BLOB = {"mediaType": "application/vnd.test", "digest": DIGEST, "size": 2}
IMAGE = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": BLOB, "layers": [BLOB]}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [BLOB]}


def raw(document: Any) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize("media_type", ACCEPTED)
def test_the_four_media_types_are_read(media_type: str) -> None:
    document = (INDEX if media_type in {OCI_INDEX, DOCKER_INDEX} else IMAGE) | {"mediaType": media_type}
    manifest = parse_manifest(raw(document), content_type=media_type)
    assert manifest.media_type == media_type
    assert manifest.is_index == (media_type in {OCI_INDEX, DOCKER_INDEX})
    assert manifest.digest == digest_of(raw(document))
    assert manifest.size == len(raw(document))


def test_the_media_type_may_be_inside_or_outside_alone() -> None:
    inside = parse_manifest(raw(IMAGE), content_type=None)
    outside = parse_manifest(raw({key: IMAGE[key] for key in IMAGE if key != "mediaType"}), content_type=OCI_MANIFEST)
    assert inside.media_type == outside.media_type == OCI_MANIFEST


def test_descriptors_keep_what_is_used_of_them() -> None:
    annotations = {"org.opencontainers.image.title": "vmlinuz"}
    layer = BLOB | {"annotations": annotations, "urls": ["https://elsewhere.test/x"], "data": "e30="}
    subject = BLOB | {"artifactType": "application/vnd.other"}
    manifest = parse_manifest(raw(IMAGE | {"layers": [layer], "subject": subject}), content_type=None)
    assert manifest.layers[0].title == "vmlinuz"
    assert manifest.subject is not None
    assert manifest.subject.artifact_type == "application/vnd.other"
    child = BLOB | {"platform": {"os": "linux", "architecture": "arm64"}}
    index = parse_manifest(raw(INDEX | {"manifests": [child, BLOB]}), content_type=None)
    assert [each.architecture for each in index.manifests] == ["arm64", None]


def test_empty_members_are_as_good_as_none() -> None:
    document = IMAGE | {"artifactType": "", "annotations": None, "subject": None}
    manifest = parse_manifest(raw(document), content_type=None)
    assert (manifest.artifact_type, manifest.annotations, manifest.subject) == (None, {}, None)


BAD_DESCRIPTORS: list[Any] = [
    None,
    [],
    "x",
    {},
    BLOB | {"size": -1},
    BLOB | {"size": "2"},
    BLOB | {"size": 2.0},
    BLOB | {"size": True},
    BLOB | {"size": None},
    BLOB | {"size": 2**40 + 1},
    BLOB | {"size": 10**30},
    BLOB | {"digest": "sha512:" + "a" * 128},
    BLOB | {"digest": "sha256:" + "A" * 64},
    BLOB | {"digest": "sha256:" + "a" * 63},
    BLOB | {"digest": DIGEST + "\n"},
    BLOB | {"digest": None},
    BLOB | {"mediaType": None},
    BLOB | {"mediaType": "text"},
    BLOB | {"mediaType": "text/plain; charset=utf-8"},
    BLOB | {"mediaType": "a/" + "b" * 200},
    BLOB | {"mediaType": 7},
    BLOB | {"artifactType": ["x/y"]},
    BLOB | {"platform": "linux/arm64"},
    BLOB | {"platform": {"architecture": 7}},
    BLOB | {"annotations": ["a"]},
    BLOB | {"annotations": {"a": 1}},
    BLOB | {"annotations": {"a": "nul \0"}},
    BLOB | {"annotations": {"half \ud800": "x"}},
    BLOB | {"annotations": {str(number): "x" for number in range(1001)}},
]


@pytest.mark.parametrize("bad", BAD_DESCRIPTORS, ids=range(len(BAD_DESCRIPTORS)))
def test_a_bad_descriptor_is_rejected_wherever_it_is(bad: Any) -> None:
    documents = [IMAGE | {"config": bad}, IMAGE | {"layers": [BLOB, bad]}, INDEX | {"manifests": [bad]}]
    for document in documents + ([IMAGE | {"subject": bad}] if bad is not None else []):
        with pytest.raises(ContentRejected):
            parse_manifest(raw(document), content_type=None)


BAD_DOCUMENTS: list[Any] = [
    [],
    "x",
    None,
    {},
    IMAGE | {"schemaVersion": 1},
    IMAGE | {"schemaVersion": "2"},
    IMAGE | {"schemaVersion": 2.0},
    IMAGE | {"schemaVersion": True},
    {key: IMAGE[key] for key in IMAGE if key != "schemaVersion"},
    {key: IMAGE[key] for key in IMAGE if key != "layers"},
    {key: IMAGE[key] for key in IMAGE if key != "config"},
    IMAGE | {"layers": {}},
    IMAGE | {"layers": [BLOB] * 1001},
    INDEX | {"manifests": {"0": BLOB}},
    INDEX | {"manifests": [BLOB] * 1001},
    IMAGE | {"manifests": []},
    IMAGE | {"manifests": None},
    IMAGE | {"fsLayers": []},
    IMAGE | {"history": []},
    INDEX | {"fsLayers": None},
    *(IMAGE | {"layers": [BLOB, BLOB | {"mediaType": media_type}]} for media_type in ACCEPTED),
    IMAGE | {"config": BLOB | {"mediaType": OCI_MANIFEST}},
    IMAGE | {"layers": [BLOB | {"mediaType": "application/vnd.oci.artifact.manifest.v1+json"}]},
    INDEX | {"config": BLOB},
    INDEX | {"layers": []},
    IMAGE | {"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"},
    IMAGE | {"mediaType": "application/json"},
    IMAGE | {"mediaType": 1},
    IMAGE | {"artifactType": "not a type"},
    IMAGE | {"annotations": []},
    IMAGE | {"subject": []},
]


@pytest.mark.parametrize(
    "members",
    [
        {"urls": "https://elsewhere.test/x"},
        {"urls": [1]},
        {"data": True},
        {"data": "no base64"},
        {"platform": {"architecture": "amd64", "os": 1}},
        {"platform": {"architecture": "amd64", "os": "linux", "os.version": []}},
        {"platform": {"architecture": "amd64", "os": "linux", "os.features": "win32k"}},
        {"platform": {"architecture": "amd64", "os": "linux", "variant": {}}},
    ],
)
def test_what_go_refuses_to_read_is_rejected_though_nobody_reads_it_here(members: dict[str, Any]) -> None:
    for document in (INDEX | {"manifests": [BLOB | members]}, IMAGE | {"layers": [BLOB | members]}):
        with pytest.raises(ContentRejected):
            parse_manifest(raw(document), content_type=None)


@pytest.mark.parametrize("document", BAD_DOCUMENTS, ids=range(len(BAD_DOCUMENTS)))
def test_a_bad_document_is_rejected(document: Any) -> None:
    with pytest.raises(ContentRejected):
        parse_manifest(raw(document), content_type=None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        raw(IMAGE)[:-1],
        b"\xff\xfe",
        b"\xef\xbb\xbf" + raw(IMAGE),
        b'{"schemaVersion": NaN}',
        b'{"schemaVersion": Infinity}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"size": ' + b"9" * 10_000 + b"}",
        raw(IMAGE)[:-1] + b', "layers": []}',
        raw(IMAGE).replace(b'"size": 2', b'"size": 2, "size": 3', 1),
    ],
    ids=range(13),
)
def test_what_is_no_json_or_not_plainly_is_rejected(content: bytes) -> None:
    with pytest.raises(ContentRejected):
        parse_manifest(content, content_type=OCI_MANIFEST)


@pytest.mark.parametrize("served_as", [OCI_INDEX, DOCKER_MANIFEST, "application/json", "text/html"])
def test_a_media_type_that_differs_outside_is_rejected(served_as: str) -> None:
    with pytest.raises(ContentRejected, match="served as"):
        parse_manifest(raw(IMAGE), content_type=served_as)


def test_a_manifest_of_no_known_type_at_all_is_rejected() -> None:
    document = {key: IMAGE[key] for key in IMAGE if key != "mediaType"}
    for served_as in (None, "application/json"):
        with pytest.raises(ContentRejected, match="media type"):
            parse_manifest(raw(document), content_type=served_as)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from([DIGEST, OCI_MANIFEST, OCI_INDEX, 2, "a/b", BLOB, [BLOB], []]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
MEMBERS = st.sampled_from(
    ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "annotations", "artifactType"]
)


@given(
    st.sampled_from([IMAGE, INDEX]), st.dictionaries(MEMBERS, VALUES, max_size=3), st.sampled_from([None, *ACCEPTED])
)
def test_any_change_is_read_or_rejected_and_nothing_else(
    base: dict[str, Any], changes: dict[str, Any], served_as: str | None
) -> None:
    content = raw(base | changes)
    try:
        manifest = parse_manifest(content, content_type=served_as)
    except ContentRejected:
        return
    assert manifest.digest == digest_of(content)
    assert (manifest.config is None) == manifest.is_index
    for descriptor in (*manifest.layers, *manifest.manifests):
        assert descriptor.size >= 0


@given(st.binary(max_size=200))
def test_any_bytes_are_rejected(content: bytes) -> None:
    with pytest.raises(ContentRejected):
        parse_manifest(content, content_type=OCI_MANIFEST)


@given(st.lists(VALUES | st.just(BLOB), max_size=5))
def test_any_list_of_referrers_gives_its_good_entries(entries: list[Any]) -> None:
    found = parse_referrers(raw({"schemaVersion": 2, "manifests": entries}))
    assert len([each for each in found if each.digest == DIGEST]) >= entries.count(BLOB)


@pytest.mark.parametrize(
    ("document", "served_as"),
    [(INDEX, OCI_MANIFEST), (INDEX, DOCKER_INDEX), (INDEX | {"layers": []}, None), (INDEX | {"config": BLOB}, None),
     (INDEX | {"fsLayers": []}, None), (INDEX | {"Manifests": []}, None), ({"manifests": []}, OCI_MANIFEST)],
    ids=range(7),
)  # fmt: skip
def test_a_list_of_referrers_that_is_something_else_too_is_rejected(
    document: dict[str, Any], served_as: str | None
) -> None:
    with pytest.raises(ContentRejected):
        parse_referrers(raw(document), content_type=served_as)


def test_a_referrer_in_two_spellings_is_left_out_and_hides_no_other() -> None:
    twofold = BLOB | {"Digest": "sha256:" + "b" * 64}
    platform = BLOB | {"platform": {"architecture": "amd64", "ARCHITECTURE": "arm64"}}
    assert len(parse_referrers(raw(INDEX | {"manifests": [twofold, BLOB, platform]}))) == 1
