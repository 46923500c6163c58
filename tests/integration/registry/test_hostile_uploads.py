"""Pushing to a registry that breaks off, sends us elsewhere, or stores something else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.adapters.oci import OciRegistries, Pusher
from bootpress.adapters.oci.manifests import OCI_MANIFEST, digest_of
from bootpress.core.errors import ContentRejected, RegistryUnavailable
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.support.clocks import SkippingClock
from tests.support.hostile_registry import Behaviour, HostileRegistry, answer, guarded, reset

CONTENT = b"x" * 100_000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
UPLOADS = "/v2/os/images/blobs/uploads/"
RAW = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": []}).encode()
MANIFEST = f"/v2/os/images/manifests/{digest_of(RAW)}"


@pytest.fixture
def pushing(hostile: HostileRegistry, quick: SkippingClock) -> Iterator[Pusher]:
    opened = OciRegistries(timing=quick.timing)
    yield opened.open_pusher(RegistryConnection("default", hostile.host, "robot", "secret"))
    opened.close()


def accept(location: str) -> Behaviour:
    return answer(202, Location=location)


def test_a_broken_upload_is_started_anew(
    pushing: Pusher, hostile: HostileRegistry, target: Repository, tmp_path: Path
) -> None:
    file = tmp_path / "blob"
    file.write_bytes(CONTENT)
    hostile.on(UPLOADS, accept("/first?state=a"), accept("/second?state=b"))
    hostile.on("/first", reset())
    hostile.on("/second", answer(201))
    assert pushing.push_blob(target, file).digest == DIGEST
    [second] = hostile.asked("/second")
    assert second.path == f"/second?state=b&digest={DIGEST.replace(':', '%3A')}"
    assert second.headers["Content-Length"] == "100000"


def test_an_upload_elsewhere_carries_no_credential(
    pushing: Pusher, hostile: HostileRegistry, elsewhere: HostileRegistry, target: Repository
) -> None:
    basic = "Basic cm9ib3Q6c2VjcmV0"
    hostile.on(UPLOADS, guarded(accept(f"{elsewhere.url}/storage"), by=basic, challenge="Basic"))
    elsewhere.on("/storage", answer(201))
    pushing.push_blob(target, CONTENT)
    assert [request.authorization for request in hostile.asked(UPLOADS)] == [None, basic]
    assert [request.authorization for request in elsewhere.requests] == [None]


@pytest.mark.parametrize("location", ["", "file:///x", "http://192.0.2.1/x", "http://u:p@127.0.0.1/"])
def test_an_upload_to_where_we_do_not_go_is_refused(
    pushing: Pusher, hostile: HostileRegistry, target: Repository, location: str
) -> None:
    hostile.on(UPLOADS, accept(location))
    with pytest.raises(RegistryUnavailable):
        pushing.push_blob(target, CONTENT)


@pytest.mark.parametrize("status", [200, 400, 404, 413])
def test_an_upload_that_is_refused_is_not_pushed(
    pushing: Pusher, hostile: HostileRegistry, target: Repository, status: int
) -> None:
    hostile.on(UPLOADS, accept("/upload"))
    hostile.on("/upload", answer(status))
    with pytest.raises(RegistryUnavailable, match=f"{status} to the upload"):
        pushing.push_blob(target, CONTENT)
    assert len(hostile.asked("/upload")) == 1


def test_a_registry_that_stores_something_else_is_found_out(
    pushing: Pusher, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(MANIFEST, answer(201, Docker_Content_Digest=DIGEST))
    with pytest.raises(ContentRejected, match="stored"):
        pushing.push_manifest(target, RAW, media_type=OCI_MANIFEST)


def test_a_registry_with_the_referrers_api_needs_no_fallback_tag(
    pushing: Pusher, hostile: HostileRegistry, target: Repository
) -> None:
    document = {**json.loads(RAW), "subject": {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 1}}
    raw = json.dumps(document).encode()
    hostile.on(f"/v2/os/images/manifests/{digest_of(raw)}", answer(201, OCI_Subject=DIGEST))
    pushing.push_manifest(target, raw, media_type=OCI_MANIFEST)
    assert len(hostile.requests) == 1
