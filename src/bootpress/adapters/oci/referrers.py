"""What refers to a digest (distribution-spec 1.1, "Listing Referrers"): the API, and the tag that stands in for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

import httpx

from bootpress.adapters.oci.limits import MAX_MANIFEST, MAX_REFERRERS
from bootpress.adapters.oci.manifests import ACCEPTED, INDEXES, parse_referrers
from bootpress.adapters.oci.origins import MAX_URL, origin_of
from bootpress.adapters.oci.responses import RegistryResponse, TooLarge
from bootpress.adapters.oci.transport import Transport
from bootpress.core.errors import ContentRejected, RegistryUnavailable
from bootpress.core.ports import Descriptor
from bootpress.core.references import Repository, digest_hex

MAX_PAGES = 100
MAX_LISTED = 2 * MAX_MANIFEST
"""Bytes of all pages; a thousand referrers have half a mebibyte."""
# A registry without the API; the last four as go-containerregistry and oras met them in the wild.
NO_API = frozenset({404, 400, 405, 406, 501})
_NEXT = re.compile(r'<([^<>]{1,8192})>\s*;[^,]*?\brel="?next"?', re.IGNORECASE)


def fallback_tag(digest: str) -> str:
    """Return the tag under which clients list referrers where the registry has no API for it."""
    return f"sha256-{digest_hex(digest)}"


def list_referrers(transport: Transport, repository: Repository, digest: str) -> list[Descriptor]:
    """List both sources, each digest once, in the order given, at most 1,000.

    A registry error is never "no referrers": only what says that there are none is. An index that cannot be read
    is ContentRejected, unless the other source has something.
    """
    found: dict[str, Descriptor] = {}
    unreadable: ContentRejected | None = None
    for source in (_from_api, _from_tag):
        try:
            for descriptor in source(transport, repository, digest):
                found.setdefault(descriptor.digest, descriptor)
        except ContentRejected as error:
            unreadable = error
    if unreadable is not None and not found:
        raise unreadable
    return list(found.values())[:MAX_REFERRERS]


def _from_api(transport: Transport, repository: Repository, digest: str) -> Iterator[Descriptor]:
    home = f"/v2/{repository.path}/referrers/{digest}"
    path: str | None = home
    pages = count = size = 0
    while path is not None and count < MAX_REFERRERS:
        pages += 1
        if pages > MAX_PAGES:
            raise RegistryUnavailable(f"{transport.origin} lists the referrers of {digest} without end")
        answer = _get(transport, repository, path, accept=INDEXES[0])
        if pages == 1 and answer.status in NO_API:
            return
        if answer.status != HTTPStatus.OK or answer.content_type not in INDEXES:
            raise RegistryUnavailable(
                f"{transport.origin} answers {answer} as {answer.content_type} for the referrers of {digest}"
            )
        size += len(answer.body)
        if size > MAX_LISTED:
            raise ContentRejected(f"{transport.origin} lists the referrers of {digest} in over {MAX_LISTED} bytes")
        page = parse_referrers(answer.body, content_type=answer.content_type)
        count += len(page)
        yield from page
        path = _next_page(answer, home)


def _from_tag(transport: Transport, repository: Repository, digest: str) -> Iterator[Descriptor]:
    path = f"/v2/{repository.path}/manifests/{fallback_tag(digest)}"
    answer = _get(transport, repository, path, accept=", ".join(ACCEPTED))
    if answer.status == HTTPStatus.NOT_FOUND:
        return
    if answer.status != HTTPStatus.OK:
        raise RegistryUnavailable(f"{transport.origin} answers {answer} for the referrers' tag of {digest}")
    yield from parse_referrers(answer.body, content_type=answer.content_type)


def _get(transport: Transport, repository: Repository, path: str, *, accept: str) -> RegistryResponse:
    scope = f"repository:{repository.path}:pull"
    try:
        return transport.request("GET", path, scope=scope, headers={"accept": accept}, limit=MAX_MANIFEST, is_json=True)
    except TooLarge as error:
        raise ContentRejected(f"an index of referrers in {repository} has more than {MAX_MANIFEST} bytes") from error


def _next_page(answer: RegistryResponse, home: str) -> str | None:
    """Return path and query of the next page (RFC 8288), which is the same endpoint of the same server."""
    link = _NEXT.search(answer.headers.get("link", "")[:MAX_URL])
    if link is None:
        return None
    try:
        url = answer.url.join(link[1])
        elsewhere = url.scheme not in {"http", "https"} or origin_of(url) != origin_of(answer.url)
    except (httpx.InvalidURL, ValueError) as error:
        raise RegistryUnavailable(f"{answer.url.host} names a next page of referrers that is no URL") from error
    if elsewhere or url.path != home:
        raise RegistryUnavailable(f"{answer.url.host} names a next page of referrers that lies elsewhere")
    return url.raw_path.decode("ascii")
