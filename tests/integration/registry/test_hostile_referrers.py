"""Lists of referrers that lie, loop or fail: an error is never "none"."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bootpress.adapters.oci import OciRegistry
from bootpress.adapters.oci.manifests import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from bootpress.core.errors import ContentRejected, RegistryUnavailable
from bootpress.core.references import Repository
from tests.support.hostile_registry import Behaviour, Exchange, HostileRegistry, answer, endless, manifest

SUBJECT = "sha256:" + "5" * 64
API = f"/v2/os/images/referrers/{SUBJECT}"
TAG = f"/v2/os/images/manifests/sha256-{'5' * 64}"


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": f"sha256:{number:064x}", "size": 100, **more}


def index(*entries: Any, **more: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries), **more}).encode()


def page(*entries: Any, following: str | None = None) -> Behaviour:
    link = {"Link": f'<{following}>; rel="next"'} if following else {}
    return answer(200, index(*entries), Content_Type=OCI_INDEX, **link)


def numbers(registry: OciRegistry, repository: Repository) -> list[int]:
    return [int(each.digest[7:], 16) for each in registry.list_referrers(repository, SUBJECT)]


def test_both_sources_are_merged_and_each_digest_comes_once(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(API, page(entry(1), entry(2), entry(1)))
    hostile.on(TAG, manifest(index(entry(2), entry(3)), media_type=OCI_INDEX))
    assert numbers(victim, target) == [1, 2, 3]


def test_pages_are_followed_on_the_same_endpoint(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(API, page(entry(1), following=f"{API}?last=1"), page(entry(2), following="?last=2"), page(entry(3)))
    assert numbers(victim, target) == [1, 2, 3]
    assert [request.path.partition("?")[2] for request in hostile.asked(API)] == ["", "last=1", "last=2"]


@pytest.mark.parametrize(
    "following", ["/v2/os/other/referrers/x", "http://127.0.0.1:1/x", "//192.0.2.1/x", "file:///x", "http://[::1"]
)
def test_a_next_page_elsewhere_is_not_asked_for(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, following: str
) -> None:
    hostile.on(API, page(entry(1), following=following))
    with pytest.raises(RegistryUnavailable, match="next page"):
        victim.list_referrers(target, SUBJECT)


def test_pages_without_end_are_left(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(API, page(following=f"{API}?again"))
    with pytest.raises(RegistryUnavailable, match="without end"):
        victim.list_referrers(target, SUBJECT)
    assert len(hostile.asked(API)) == 100


def test_large_pages_are_left_after_8_mib_and_what_came_counts(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    padding = {str(number): "x" * 1_000_000 for number in range(3)}
    large = [page(entry(number, annotations=padding), following=f"{API}?n={number}") for number in range(5)]
    hostile.on(API, *large)
    hostile.on(TAG, manifest(index(entry(7)), media_type=OCI_INDEX))
    assert numbers(victim, target) == [0, 1, 7]
    assert len(hostile.asked(API)) == 3


def test_a_thousand_are_listed_and_no_more(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(API, page(*(entry(number) for number in range(600)), following=f"{API}?2"))
    hostile.on(TAG, manifest(index(*(entry(number) for number in range(5000, 9000))), media_type=OCI_INDEX))
    listed = numbers(victim, target)
    assert len(listed) == 1000
    assert listed[:600] == list(range(600))


@pytest.mark.parametrize("status", [404, 400, 405, 406, 501])
def test_a_registry_without_the_api_has_the_tag(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, status: int
) -> None:
    hostile.on(API, answer(status))
    assert numbers(victim, target) == []
    hostile.on(TAG, manifest(index(entry(7)), media_type=OCI_INDEX))
    assert numbers(victim, target) == [7]


@pytest.mark.parametrize("path", [API, TAG])
@pytest.mark.parametrize(
    "failure", [answer(500), answer(403), answer(429), answer(409), answer(301, Location="ftp://x")], ids=range(5)
)
def test_an_error_of_either_source_is_never_none(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, path: str, failure: Behaviour
) -> None:
    hostile.on(path, failure)
    with pytest.raises(RegistryUnavailable):
        victim.list_referrers(target, SUBJECT)


def test_a_login_page_is_not_an_empty_list(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(API, answer(200, b"<html>", Content_Type="text/html"))
    with pytest.raises(RegistryUnavailable, match="text/html"):
        victim.list_referrers(target, SUBJECT)


def test_the_second_page_may_not_be_missing(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(API, page(entry(1), following=f"{API}?2"), answer(404))
    with pytest.raises(RegistryUnavailable):
        victim.list_referrers(target, SUBJECT)


BAD: list[Any] = [
    1,
    None,
    [],
    {},
    entry(1, size=-1),
    entry(1, size="1"),
    entry(1, digest="sha512:00"),
    entry(1, annotations=[]),
]


def test_a_bad_entry_does_not_hide_the_others(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(TAG, manifest(index(*BAD, entry(2)), media_type=OCI_INDEX))
    assert numbers(victim, target) == [2]


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"{}",
        b"[]",
        b'{"manifests": {}}',
        b'{"manifests": [], "manifests": []}',
        b"\xff",
        index(mediaType=DOCKER_MANIFEST),
        index() + b" " * (4 << 20),
    ],
    ids=range(8),
)
def test_a_list_that_cannot_be_read_is_rejected_unless_the_other_one_has_something(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, content: bytes
) -> None:
    hostile.on(TAG, manifest(content, media_type=OCI_INDEX))
    with pytest.raises(ContentRejected):
        victim.list_referrers(target, SUBJECT)
    hostile.on(API, page(entry(4)))
    assert numbers(victim, target) == [4]


def test_a_list_without_end_is_rejected(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(API, endless(Content_Type=OCI_INDEX))
    with pytest.raises(ContentRejected, match="more than 4194304"):
        victim.list_referrers(target, SUBJECT)


def test_what_comes_from_elsewhere_is_no_next_page(
    victim: OciRegistry, hostile: HostileRegistry, elsewhere: HostileRegistry, target: Repository
) -> None:
    def lie(exchange: Exchange) -> None:
        page(entry(1), following=f"{elsewhere.url}{API}?stolen")(exchange)

    hostile.on(API, lie)
    with pytest.raises(RegistryUnavailable, match="elsewhere"):
        victim.list_referrers(target, SUBJECT)
    assert elsewhere.requests == []
