"""Small requests to a registry that lies, stalls, or is merely unwell."""

from __future__ import annotations

import base64
import gzip
import json
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from bootpress.adapters.oci import Limits, OciRegistries, OciRegistry
from bootpress.adapters.oci.manifests import OCI_MANIFEST, digest_of
from bootpress.core.errors import ContentRejected, ReferenceRejected, RegistryUnavailable
from bootpress.core.ports import DeleteResult, RegistryConnection
from bootpress.core.references import Repository
from tests.integration.registry.conftest import SECRET
from tests.support.clocks import SkippingClock
from tests.support.hostile_registry import (
    Behaviour,
    Exchange,
    HostileRegistry,
    answer,
    demand,
    drip,
    endless,
    guarded,
    manifest,
    redirect,
    reset,
    send,
    silent,
)

MIB = 1024 * 1024
BLOB = {"mediaType": "application/vnd.test", "digest": digest_of(b"{}"), "size": 2}
RAW = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": BLOB, "layers": []}).encode()
DIGEST = digest_of(RAW)
BY_DIGEST = f"/v2/os/images/manifests/{DIGEST}"
BY_TAG = "/v2/os/images/manifests/v1"
GOOD = manifest(RAW)


def test_other_bytes_than_the_digest_says_are_rejected(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(BY_DIGEST, manifest(RAW + b" "))
    with pytest.raises(ContentRejected, match="other bytes"):
        victim.fetch_manifest(target, DIGEST)
    assert len(hostile.requests) == 1


def test_a_tag_is_the_digest_of_what_was_served_not_of_what_was_said(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(
        BY_TAG, answer(200, RAW, Content_Type=OCI_MANIFEST), manifest(RAW, Docker_Content_Digest=digest_of(b"other"))
    )
    assert victim.resolve_tag(target, "v1") == DIGEST
    with pytest.raises(ContentRejected, match="other bytes than the registry says"):
        victim.resolve_tag(target, "v1")


def test_a_manifest_that_changes_between_two_reads_is_rejected(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    other = RAW.replace(b"vnd.test", b"vnd.evil")
    hostile.on(BY_TAG, GOOD)
    hostile.on(BY_DIGEST, manifest(other))
    with pytest.raises(ContentRejected):
        victim.fetch_manifest(target, victim.resolve_tag(target, "v1"))


def test_what_is_not_there_is_told_apart(victim: OciRegistry, target: Repository) -> None:
    with pytest.raises(ContentRejected, match="is not in the registry"):
        victim.fetch_manifest(target, DIGEST)
    with pytest.raises(ReferenceRejected):
        victim.resolve_tag(target, "v1")
    assert victim.find_tag(target, "v1") is None
    assert victim.delete_manifest(target, DIGEST) is DeleteResult.ABSENT


def test_a_manifest_of_200_mib_is_rejected_unread(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    sent: list[int] = []

    def large(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Type": OCI_MANIFEST, "Content-Length": str(200 * MIB)})
        for _ in range(200):
            exchange.write(b" " * MIB)
            sent.append(MIB)

    hostile.on(BY_DIGEST, large)
    with pytest.raises(ContentRejected, match="more than 4194304 bytes"):
        victim.fetch_manifest(target, DIGEST)
    assert sum(sent) < 40 * MIB  # what fits into the sockets
    assert len(hostile.requests) == 1


def test_a_manifest_without_end_is_rejected_at_4_mib(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(BY_TAG, endless(Content_Type=OCI_MANIFEST))
    with pytest.raises(ContentRejected, match="more than 4194304 bytes"):
        victim.find_tag(target, "v1")


def test_a_compressed_manifest_is_refused_though_it_would_be_the_right_one(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(BY_DIGEST, answer(200, gzip.compress(RAW), Content_Type=OCI_MANIFEST, Content_Encoding="gzip"))
    with pytest.raises(RegistryUnavailable, match="identity was asked for"):
        victim.fetch_manifest(target, DIGEST)
    assert [request.headers["Accept-Encoding"] for request in hostile.requests] == ["identity"]


@pytest.mark.parametrize("failure", [answer(503), answer(500), answer(429), reset(), reset(b"HTTP/1.1 200 Wo")])
def test_a_registry_that_recovers_is_asked_again(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, quick: SkippingClock, failure: Behaviour
) -> None:
    hostile.on(BY_DIGEST, failure, failure, GOOD)
    assert victim.fetch_manifest(target, DIGEST).digest == DIGEST
    assert quick.slept == [0.5, 1.0]


@pytest.mark.parametrize(
    "failure", [answer(503), reset(), send(b"", length=10), reset(b"no HTTP\r\n\r\n"), silent()], ids=range(5)
)
def test_a_registry_that_does_not_recover_is_unavailable_after_a_few_tries(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, failure: Behaviour
) -> None:
    hostile.on(BY_TAG, failure)
    with pytest.raises(RegistryUnavailable):
        victim.find_tag(target, "v1")
    assert len(hostile.requests) <= 4


def test_a_manifest_whose_length_nobody_states_may_have_broken_off(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, quick: SkippingClock
) -> None:
    hostile.on(BY_DIGEST, send(RAW[:-1], Content_Type=OCI_MANIFEST), send(RAW, Content_Type=OCI_MANIFEST))
    assert victim.fetch_manifest(target, DIGEST).digest == DIGEST
    assert quick.slept == [0.5]


def test_a_whole_document_without_a_length_is_judged_as_it_is(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, quick: SkippingClock
) -> None:
    hostile.on(BY_DIGEST, send(RAW + b" ", Content_Type=OCI_MANIFEST))
    with pytest.raises(ContentRejected, match="other bytes"):
        victim.fetch_manifest(target, DIGEST)
    assert quick.slept == []


@pytest.mark.parametrize("status", [400, 405, 409, 418, 501])
def test_what_no_retry_can_help_is_not_retried(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, quick: SkippingClock, status: int
) -> None:
    hostile.on(BY_TAG, answer(status))
    with pytest.raises(RegistryUnavailable, match=str(status)):
        victim.find_tag(target, "v1")
    assert (len(hostile.requests), quick.slept) == (1, [])


def test_retry_after_is_honoured_and_clamped(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, quick: SkippingClock
) -> None:
    hostile.on(BY_TAG, answer(429, Retry_After="7"), answer(429, Retry_After="86400"), GOOD)
    assert victim.find_tag(target, "v1") == DIGEST
    assert quick.slept == [7, 30]


def test_retry_after_may_be_a_date(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, quick: SkippingClock
) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    hostile.on(BY_TAG, answer(503, Retry_After=moment), GOOD)
    assert victim.find_tag(target, "v1") == DIGEST
    assert 15 < quick.slept[0] <= 20


def test_whoever_is_always_too_busy_is_unavailable_and_the_wait_is_told(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, quick: SkippingClock
) -> None:
    hostile.on(BY_TAG, answer(429, Retry_After="99999999"))
    with pytest.raises(RegistryUnavailable, match="429") as caught:
        victim.find_tag(target, "v1")
    assert caught.value.retry_after == 30
    assert sum(quick.slept) <= 90


def interim(exchange: Exchange) -> None:
    while True:
        exchange.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        exchange.wait(0.01)


def slow_chunks(exchange: Exchange) -> None:
    exchange.head(200, {"Content-Type": OCI_MANIFEST, "Transfer-Encoding": "chunked"})
    for byte in b"1;" + b"x" * 5000:  # the extension of a chunk never ends
        exchange.write(bytes([byte]))
        exchange.wait(0.05)


@pytest.mark.parametrize(
    "slow",
    [drip(RAW, seconds=0.05), drip(RAW, seconds=0.05, head=True), interim, slow_chunks],
    ids=["body", "headers", "interim answers", "chunks"],
)
def test_a_registry_that_drips_is_given_up_at_the_deadline(
    hostile: HostileRegistry, target: Repository, slow: Behaviour
) -> None:
    registries = OciRegistries(limits=Limits(request_seconds=0.6))
    hostile.on(BY_TAG, slow)
    begun = time.monotonic()
    with pytest.raises(RegistryUnavailable, match="as a whole"):
        registries.open(RegistryConnection("default", hostile.host)).find_tag(target, "v1")
    assert time.monotonic() - begun < 2
    registries.close()


def test_headers_are_bounded(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(BY_TAG, answer(200, RAW, Content_Type=OCI_MANIFEST, X_Large="x" * 300_000))
    with pytest.raises(RegistryUnavailable):
        victim.find_tag(target, "v1")


def test_an_error_says_what_code_the_registry_gave_and_not_what_it_wrote_beside_it(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    error = {"code": "NAME_INVALID", "message": "you sent s3cret-of-the-connection"}
    hostile.on(BY_TAG, answer(400, {"errors": [error]}))
    with pytest.raises(RegistryUnavailable, match="400 NAME_INVALID") as caught:
        victim.find_tag(target, "v1")
    assert "you sent" not in str(caught.value)


@pytest.mark.parametrize(
    "head",
    [
        b"%s\r\n\r\n",
        b"HTTP/1.1 2000 %s\r\n\r\n",
        b"HTTP/1.1 200 Word\r\n%s\r\n\r\n",
        b"HTTP/1.1 200 Word\r\nX-Said : %s\r\n\r\n",
        b"HTTP/1.1 200 Word\r\nX-Said: \0%s\r\n\r\n",
        b"HTTP/1.1 200 Word\r\nContent-Length: %s\r\n\r\n",
        b"HTTP/1.1 200 Word\r\nTransfer-Encoding: %s\r\n\r\n",
        b"HTTP/1.1 200 Word\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n",
        b"HTTP/1.1 307 Word\r\nLocation: http://elsewhere.test:%s/\r\n\r\n",
        b'HTTP/1.1 401 Word\r\nWWW-Authenticate: Bearer realm="http://elsewhere.test:%s/"\r\n\r\n',
    ],
    ids=lambda head: head.decode().encode("unicode_escape").decode()[-50:],
)
def test_a_registry_that_repeats_our_credential_does_not_have_it_in_our_errors(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, head: bytes
) -> None:
    """Whoever logs an error logs its traceback too."""

    def repeat(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.write(head % (exchange.request.authorization or "").encode())

    credential = f"Basic {base64.b64encode(f'robot:{SECRET}'.encode()).decode()}"
    hostile.on(BY_TAG, demand('Basic realm="here"'), answer(404), repeat)
    victim.find_tag(target, "v1")
    with pytest.raises(RegistryUnavailable) as caught:
        victim.find_tag(target, "v1")
    assert hostile.requests[-1].authorization == credential
    assert credential.removeprefix("Basic ") not in "".join(traceback.format_exception(caught.value))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"errors":[]}', b'{"errors":[{"code":[]}]}', b"\xff", b"[1]"])
def test_errors_that_cannot_be_read_are_errors_all_the_same(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, body: bytes
) -> None:
    hostile.on(BY_TAG, answer(400, body))
    with pytest.raises(RegistryUnavailable, match="400"):
        victim.find_tag(target, "v1")


def test_cookies_are_not_kept(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(BY_TAG, manifest(RAW, Set_Cookie="track=me; Path=/"))
    victim.find_tag(target, "v1")
    victim.find_tag(target, "v1")
    assert [request.headers["Cookie"] for request in hostile.requests] == [None, None]


def test_a_redirect_loop_ends(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(BY_TAG, redirect(BY_TAG))
    with pytest.raises(RegistryUnavailable, match="more than 3 times"):
        victim.find_tag(target, "v1")
    assert len(hostile.requests) == 4


def test_three_redirects_are_followed(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(BY_TAG, redirect("/a", 301))
    hostile.on("/a", redirect(f"{hostile.url}/b?x=1", 302))
    hostile.on("/b", redirect("c", 308))
    hostile.on("/c", GOOD)
    assert victim.find_tag(target, "v1") == DIGEST


def test_a_credential_stays_with_its_origin_and_does_not_come_back(
    victim: OciRegistry, hostile: HostileRegistry, elsewhere: HostileRegistry, target: Repository
) -> None:
    basic = "Basic cm9ib3Q6czNjcmV0LW9mLXRoZS1jb25uZWN0aW9u"
    hostile.on(BY_TAG, guarded(redirect(f"{elsewhere.url}/storage"), by=basic, challenge='Basic realm="x"'))
    elsewhere.on("/storage", redirect(f"{hostile.url}/back"))
    hostile.on("/back", GOOD)
    assert victim.find_tag(target, "v1") == DIGEST
    assert [request.authorization for request in hostile.asked(BY_TAG)] == [None, basic]
    assert [request.authorization for request in elsewhere.requests] == [None]
    assert [request.authorization for request in hostile.asked("/back")] == [None]


def test_whoever_is_elsewhere_cannot_ask_for_the_credential(
    victim: OciRegistry, hostile: HostileRegistry, elsewhere: HostileRegistry, target: Repository
) -> None:
    hostile.on(BY_TAG, redirect(f"{elsewhere.url}/storage"))
    elsewhere.on("/storage", demand('Basic realm="give"'))
    with pytest.raises(RegistryUnavailable, match="sends us"):
        victim.find_tag(target, "v1")
    assert [request.authorization for request in elsewhere.requests] == [None]


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("file:///etc/passwd", "no HTTP URL"),
        ("ftp://127.0.0.1/x", "no HTTP URL"),
        ("http://user:word@127.0.0.1/x", "user name"),
        ("http://192.0.2.1/x", "plain HTTP"),
        ("http://169.254.169.254/latest/meta-data", "plain HTTP"),
        ("http://[::1", "no URL"),
        ("http://127.0.0.1:99999999/x", "URL"),
        ("x" * 9000, "without saying where"),
        ("", "without saying where"),
    ],
)
def test_a_redirect_to_where_we_do_not_go_is_refused(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, location: str, why: str
) -> None:
    hostile.on(BY_TAG, redirect(location))
    with pytest.raises(RegistryUnavailable, match=why):
        victim.find_tag(target, "v1")
    assert len(hostile.requests) == 1


def test_a_redirect_to_where_nobody_listens_is_unavailable(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, free_port: int
) -> None:
    hostile.on(BY_TAG, redirect(f"http://127.0.0.1:{free_port}/x?signature=secret"))
    with pytest.raises(RegistryUnavailable) as caught:
        victim.find_tag(target, "v1")
    assert "signature" not in str(caught.value)


def test_deleting_follows_no_redirect(
    victim: OciRegistry, hostile: HostileRegistry, elsewhere: HostileRegistry, target: Repository
) -> None:
    hostile.on(BY_DIGEST, redirect(f"{elsewhere.url}/v2/os/precious/manifests/{DIGEST}"))
    with pytest.raises(RegistryUnavailable, match="307"):
        victim.delete_manifest(target, DIGEST)
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (answer(202), DeleteResult.DELETED),
        (answer(200), DeleteResult.DELETED),
        (answer(204), DeleteResult.DELETED),
        (answer(404), DeleteResult.ABSENT),
        (answer(405), DeleteResult.UNSUPPORTED),
        (answer(501), DeleteResult.UNSUPPORTED),
        (answer(400, {"errors": [{"code": "UNSUPPORTED"}]}), DeleteResult.UNSUPPORTED),
        (answer(400), DeleteResult.REFUSED),
        (answer(401), DeleteResult.DENIED),
        (answer(403), DeleteResult.DENIED),
        (answer(409), DeleteResult.REFUSED),
        (answer(412, {"errors": [{"code": "PRECONDITION"}]}), DeleteResult.REFUSED),
    ],
    ids=range(12),
)
def test_how_a_registry_answers_a_delete(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, behaviour: Behaviour, outcome: DeleteResult
) -> None:
    hostile.on(BY_DIGEST, behaviour)
    assert victim.delete_manifest(target, DIGEST) is outcome
    assert [request.method for request in hostile.requests] == ["DELETE"]


@pytest.mark.parametrize("behaviour", [answer(one) for one in (500, 429, 503, 408, 423, 425)])
def test_a_delete_without_a_definite_answer_is_neither_done_nor_refused(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, behaviour: Behaviour
) -> None:
    hostile.on(BY_DIGEST, behaviour)
    with pytest.raises(RegistryUnavailable):
        victim.delete_manifest(target, DIGEST)


@pytest.mark.parametrize("behaviour", [answer(404), answer(302), answer(403), endless()])
def test_what_is_no_registry_is_found_out(victim: OciRegistry, hostile: HostileRegistry, behaviour: Behaviour) -> None:
    hostile.on("/v2/", behaviour)
    with pytest.raises(RegistryUnavailable):
        victim.check()
