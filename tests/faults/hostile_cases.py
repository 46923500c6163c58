"""The table of what a hostile registry does to an ingest, and of what must come of it.

Each case misserves one part of a signed image (tests/support/served_images.py) and says what error an operator reads,
whether the delivery is published, failed for good or postponed, and how many requests and bytes the registry may get
out of us.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bootpress.adapters.oci import Limits
from bootpress.adapters.oci.manifests import OCI_INDEX, OCI_MANIFEST, digest_of
from bootpress.core.errors import (
    BootpressError,
    ContentRejected,
    ReferenceRejected,
    RegistryUnavailable,
    Rejected,
    SignatureRejected,
)
from tests.support.hostile_registry import (
    Behaviour,
    Exchange,
    answer,
    demand,
    drip,
    endless,
    manifest,
    ranged,
    redirect,
    reset,
    send,
    silent,
)
from tests.support.served_images import KERNEL, REQUESTS, ServedImage

MIB = 1024 * 1024
SIZE = len(KERNEL)
HALF = SIZE // 2
OTHER = KERNEL[:HALF] + b"!" + KERNEL[HALF + 1 :]
BUFFERS = 16 * MIB
"""What lies in sockets at the most when a client has stopped reading."""
LIMITS = Limits()
SLOW = Limits(request_seconds=1.5, rate_seconds=1, tries=1)
SILENT = Limits(silence_seconds=0.3)

BEFORE = {
    "tag": 1,
    "manifest": 2,
    "config": 3,
    "api": 4,
    "referrers": 5,
    "signature": 6,
    "bundle": 7,
    "kernel": 9,
}
"""Requests of an honest ingest before it asks for a part, at the most: blobs are asked for at once."""
OF_SIGNATURE = frozenset({"api", "referrers", "signature", "bundle"})
"""Parts after whose failure the place where cosign 2 leaves signatures is still looked at: one request more."""
ASKED = ("tag", "manifest", "config", "referrers", "signature", "bundle", "kernel")
"""Parts that an honest registry has."""
TRIES = LIMITS.tries
NEVER_ENDING = endless(Content_Type=OCI_MANIFEST)

Ending = Literal["published", "failed", "postponed"]
Mischief = Callable[[ServedImage], object]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One behaviour at one place, and what comes of it."""

    name: str
    mischief: Mischief
    ending: Ending
    error: type[BootpressError] | None = None
    says: str = ""
    """An expression that is found in what the operator reads."""
    requests: int = REQUESTS
    """At the most, at both origins."""
    sent: int = 2 * MIB
    """Bytes at the most that were got rid of to us, at both origins."""
    seconds: float = 20
    """At the most, with what was waited for; a minute and more is waited for in no time."""
    elsewhere: int = 0
    """Requests at the other origin: exactly so many."""
    limits: Limits = LIMITS
    origins: tuple[Literal["http", "https"], Literal["http", "https"]] = ("http", "http")
    plain_http: bool = False
    """The registry has a name, and its connection allows HTTP."""
    claims: Mapping[str, str] = field(default_factory=dict)
    """Announced besides; `{digest}` stands for the image's."""
    after: Mischief = lambda _: None
    """What is still so when the registry is mended."""
    pause: float = 15
    """Seconds until a postponed delivery is tried again."""
    asks_for_credential: bool = True
    """Whether the credential may have gone to the registry itself."""


def on(part: str, *behaviours: Behaviour) -> Mischief:
    """Misserve one part."""
    return lambda served: served.on(part, *behaviours)


def once(part: str, *behaviours: Behaviour) -> Mischief:
    """Misserve one part, and then no more."""
    return lambda served: served.on(part, *behaviours, served.honest(part))


def each(*mischiefs: Mischief) -> Mischief:
    """Do one thing after the other."""

    def mischief(served: ServedImage) -> None:
        for one in mischiefs:
            one(served)

    return mischief


def changed(part: str, make: Callable[[bytes], Behaviour], *, times: int | None = None) -> Mischief:
    """Misserve one part with something made of its right bytes, always or so often."""

    def mischief(served: ServedImage) -> None:
        wrong = make(served.content(part))
        served.on(part, *([wrong] if times is None else [*[wrong] * times, served.honest(part)]))

    return mischief


def published(name: str, mischief: Mischief, *, more_requests: int = 0, **more: Any) -> Case:
    """Return a case that is published all the same, after so many requests more than an honest one takes."""
    fields = {"requests": REQUESTS + more_requests, **more}
    return Case(name=name, mischief=mischief, ending="published", **fields)


def rejected(name: str, mischief: Mischief, error: type[Rejected], says: str, *, at: str, **more: Any) -> Case:
    """Return a case that fails for good at the first look at a part."""
    fields = {"requests": BEFORE[at] + 1 + (at in OF_SIGNATURE), **more}
    return Case(name=name, mischief=mischief, ending="failed", error=error, says=says, **fields)


def away(name: str, mischief: Mischief, says: str, *, at: str, asks: int = 1, **more: Any) -> Case:
    """Return a case that is postponed after a part was asked for so often."""
    fields = {"requests": BEFORE[at] + asks + (at in OF_SIGNATURE), **more}
    return Case(name=name, mischief=mischief, ending="postponed", error=RegistryUnavailable, says=says, **fields)


def of_type(content: bytes) -> str:
    """Return the media type that a manifest says it has."""
    return OCI_INDEX if b'"manifests"' in content else OCI_MANIFEST


def framed(content: bytes, **headers: str) -> Behaviour:
    """Send bytes under headers of one's choice, their length included or not, and hang up."""

    def behave(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.head(200, {"Connection": "close", **{name.replace("_", "-"): text for name, text in headers.items()}})
        exchange.write(content)

    return behave


def chunked(pieces: Callable[[], Iterator[bytes]], *, end: bool = True, **headers: str) -> Behaviour:
    """Send pieces in chunks (RFC 9112, 7.1), and the last chunk if there is to be an end."""

    def behave(exchange: Exchange) -> None:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        exchange.head(200, {"Transfer-Encoding": "chunked", **named})
        for piece in pieces():
            exchange.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if end:
            exchange.write(b"0\r\n\r\n")
        exchange.hang_up()

    return behave


def spaces(count: int) -> Iterator[bytes]:
    """Return so many MiB of nothing."""
    return (b" " * MIB for _ in range(count))


def large(content_type: str, *, mebibytes: int = 200) -> Behaviour:
    """Send a document of 200 MiB under its true length."""

    def behave(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Type": content_type, "Content-Length": str(mebibytes * MIB)})
        for piece in spaces(mebibytes):
            exchange.write(piece)

    return behave


def without_length(part: str, *, cut: int = 0, times: int | None = None) -> Mischief:
    """Send a part without a length, and the last bytes of it not at all, always or so often."""

    def make(content: bytes) -> Behaviour:
        return send(content[: len(content) - cut], Content_Type=of_type(content))

    return changed(part, make, times=times)


def broken_off(part: str, *, times: int | None = None) -> Mischief:
    """Send the first bytes of a part under its whole length, always or so often."""
    return changed(part, lambda content: send(content[:20], length=len(content)), times=times)


def stating(length: str) -> Mischief:
    """Send the manifest under a length of one's choice."""
    return changed("manifest", lambda content: framed(content, Content_Length=length, Content_Type=OCI_MANIFEST))


def encoded(part: str, **headers: str) -> Mischief:
    """Send a part compressed, as nobody asked for it."""
    return changed(part, lambda content: answer(200, gzip.compress(content), Content_Encoding="gzip", **headers))


def endless_error(status: int) -> Behaviour:
    """Say what went wrong, and do not stop saying it."""

    def behave(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.head(status, {"Connection": "close", "Location": "/nowhere"})
        while True:
            exchange.write(b"e" * 65536)

    return behave


def endless_headers(exchange: Exchange) -> None:
    """Begin an answer and never come to its body."""
    exchange.hang_up()
    exchange.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        exchange.write(b"X-More: " + b"x" * 60_000 + b"\r\n")


def interim_answers(exchange: Exchange) -> None:
    """Say again and again that the answer is on its way."""
    while True:
        exchange.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        exchange.wait(0.01)


def bomb() -> bytes:
    """Return 64 KiB that are 64 MiB when they are unpacked."""
    return gzip.compress(bytes(64 * MIB), 9)


def deep_json() -> bytes:
    """Return an index that no recursive reader survives."""
    return b'{"schemaVersion":2,"manifests":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def wide_json() -> bytes:
    """Return just under 4 MiB that take thirty times as much as values."""
    return b'{"schemaVersion":2,"mediaType":"' + OCI_INDEX.encode() + b'","manifests":[' + b"{}," * 1_390_000 + b"{}]}"


def many_keys() -> bytes:
    """Return just under 4 MiB of keys that are all different."""
    return b"{" + b",".join(b'"%x":1' % number for number in range(400_000)) + b"}"


def pages(exchange: Exchange) -> None:
    """List one referrer of 3 MiB, and say that there is more."""
    number = int(exchange.request.path.partition("?n=")[2] or 0)
    padding = {str(each): "x" * (MIB - 1) for each in range(3)}
    entry = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{number:064x}", "size": 2, "annotations": padding}
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    answer(200, body, Content_Type=OCI_INDEX, Link=f'<?n={number + 1}>; rel="next"')(exchange)


def too_much_of_an_index(served: ServedImage) -> None:
    """Let the tag name an index of 32 manifests of 4 MiB each, as it says."""
    entries = [
        {
            "mediaType": OCI_MANIFEST,
            "digest": f"sha256:{number:064x}",
            "size": 4 * MIB,
            "platform": {"architecture": "amd64"},
        }
        for number in range(32)
    ]
    served.layout.add_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, tag="v1")
    served.serve()


def bearer(served: ServedImage, *tokens: Behaviour, first: str = "Bearer first") -> None:
    """Let the registry want tokens from a service of its own, and serve everything for the first."""
    served.gate.challenge = f'Bearer realm="{served.home.url}/token",service="images"'
    served.gate.accepted = {first}
    served.serve()
    served.home.on("/token", answer(200, {"token": "first", "expires_in": 3600}), *tokens)


def expire(served: ServedImage, *, accepted: str) -> Behaviour:
    """Break off in the middle of the kernel, and take another token from then on."""

    def behave(exchange: Exchange) -> None:
        served.gate.accepted = {accepted}
        ranged(KERNEL, stop_after=HALF)(exchange)

    return behave


def expiring(*tokens: Behaviour, accepted: str = "Bearer second") -> Mischief:
    """Let the token expire in the middle of the kernel; what the service says then comes after."""

    def mischief(served: ServedImage) -> None:
        bearer(served, *tokens)
        # It is asked for at the same time, and would be refused or not as it happens.
        served.home.on(served.path("config"), served.honest("config"))
        served.on("kernel", expire(served, accepted=accepted), ranged(KERNEL))

    return mischief


def elsewhere(part: str, path: str = "/storage?signature=s", behaviour: Behaviour | None = None) -> Mischief:
    """Send whoever asks for a part to the other origin, which has it, or does something else."""

    def mischief(served: ServedImage) -> None:
        served.on(part, redirect(f"{served.elsewhere.url}{path}"))
        served.elsewhere.on(path.partition("?")[0], behaviour or served.honest(part))

    return mischief


def back_home(served: ServedImage) -> None:
    """Send whoever asks for the kernel to the other origin, which sends him back to it."""
    served.on("kernel", redirect(f"{served.elsewhere.url}/back"))
    served.elsewhere.on("/back", redirect(f"{served.home.url}{served.path('config')}"))


def to_itself(part: str) -> Mischief:
    """Redirect a part to where it is."""
    return lambda served: served.on(part, redirect(served.path(part)))


def realm(part: str, make: Callable[[ServedImage], str]) -> Mischief:
    """Ask for a token of a service that should not be asked; the other origin would hand one out."""

    def mischief(served: ServedImage) -> None:
        served.elsewhere.on("/token", answer(200, {"token": "stolen"}))
        served.home.on(served.path(part), demand(f'Bearer realm="{make(served)}",service="images"'))

    return mischief


def moved(*, sign: bool) -> Mischief:
    """Let the tag name another image between the announcement and the ingest."""
    return lambda served: served.move_tag(sign=sign)


def reset_in_the_middle(exchange: Exchange) -> None:
    """Break the connection in the middle of the kernel."""
    reset(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + KERNEL[:HALF])(exchange)


WRONG_DIGEST = [
    rejected("a blob has other bytes", on("kernel", answer(200, OTHER)), ContentRejected, "other bytes", at="kernel"),
    rejected(
        "a blob has other bytes and no length", on("kernel", send(OTHER)), ContentRejected, "other bytes", at="kernel"
    ),
    rejected(
        "the config has other bytes",
        changed("config", lambda content: answer(200, content.replace(b"amd64", b"arm64"))),
        ContentRejected,
        "other bytes",
        at="config",
    ),
    rejected(
        "the manifest has other bytes",
        changed("manifest", lambda content: manifest(content + b" ")),
        ContentRejected,
        "other bytes",
        at="manifest",
    ),
    rejected(
        "the answer for a tag states another digest",
        changed("tag", lambda content: manifest(content, Docker_Content_Digest=digest_of(b"other"))),
        ContentRejected,
        "other bytes than the registry says",
        at="tag",
    ),
    rejected(
        "the signature's manifest has other bytes",
        changed("signature", lambda content: manifest(content + b" ")),
        SignatureRejected,
        "other bytes",
        at="signature",
    ),
    rejected(
        "the signature has other bytes",
        changed("bundle", lambda content: answer(200, content[:-1] + b" ")),
        SignatureRejected,
        "other bytes",
        at="bundle",
    ),
]

WRONG_LENGTH = [
    rejected(
        "a blob is longer than it should be",
        on("kernel", answer(200, KERNEL + b"!")),
        ContentRejected,
        "has 400001 bytes",
        at="kernel",
    ),
    rejected(
        "a blob is shorter than it should be",
        on("kernel", answer(200, KERNEL[:-1])),
        ContentRejected,
        "has 399999 bytes",
        at="kernel",
    ),
    rejected(
        "a blob says it is as large as nothing is",
        on("kernel", framed(KERNEL, Content_Length="9" * 18)),
        ContentRejected,
        "has 9+ bytes",
        at="kernel",
    ),
    rejected(
        "the signature is longer than it should be",
        changed("bundle", lambda content: answer(200, content + b" ")),
        SignatureRejected,
        "bytes, not the",
        at="bundle",
    ),
    *(
        away(f"the length of the manifest is {text}", stating(text), "failed", at="manifest", asks=TRIES)
        for text in ("abc", "-5", "7, 8", "9" * 30)
    ),
    *(published(f"the {part} has no length", without_length(part)) for part in ASKED),
    published("a blob comes in chunks", on("kernel", chunked(lambda: iter([KERNEL[:HALF], KERNEL[HALF:]])))),
]

TRUNCATED = [
    published("a blob breaks off and can be resumed", once("kernel", ranged(KERNEL, stop_after=HALF)), more_requests=1),
    published(
        "a blob breaks off and cannot be resumed",
        on("kernel", send(KERNEL[:HALF], length=SIZE), answer(200, KERNEL)),
        more_requests=1,
    ),
    published("a blob without a length breaks off", once("kernel", send(KERNEL[:HALF])), more_requests=1),
    published(
        "what was resumed is of another blob, and right in one piece",
        on("kernel", ranged(OTHER, stop_after=HALF + 9), ranged(KERNEL), answer(200, KERNEL)),
        more_requests=2,
    ),
    rejected(
        "what was resumed is of another blob, and so is the whole",
        on("kernel", ranged(OTHER, stop_after=HALF + 9), ranged(OTHER)),
        ContentRejected,
        "other bytes",
        at="kernel",
        requests=REQUESTS + 2,
    ),
    away(
        "a blob always breaks off", on("kernel", ranged(KERNEL, stop_after=99)), "failed|off", at="kernel", asks=TRIES
    ),
    away(
        "a blob always breaks off and cannot be resumed",
        on("kernel", send(KERNEL[:99], length=SIZE)),
        "failed|off",
        at="kernel",
        asks=TRIES,
    ),
    away("a blob without a length breaks off", on("kernel", send(KERNEL[:99])), "off", at="kernel", asks=TRIES),
    *(published(f"the {part} breaks off once", broken_off(part, times=1), more_requests=1) for part in ASKED),
    *(away(f"the {part} always breaks off", broken_off(part), "failed|off", at=part, asks=TRIES) for part in ASKED),
    *(
        published(f"the {part} without a length breaks off once", without_length(part, cut=9, times=1), more_requests=1)
        for part in ASKED
    ),
    *(
        away(f"the {part} without a length always breaks off", without_length(part, cut=9), "off", at=part, asks=TRIES)
        for part in ASKED
    ),
]

ENDLESS = [
    rejected("a blob never ends", on("kernel", endless()), ContentRejected, "beyond", at="kernel", sent=BUFFERS),
    rejected(
        "a blob in chunks never ends",
        on("kernel", chunked(lambda: spaces(1000))),
        ContentRejected,
        "beyond",
        at="kernel",
        sent=BUFFERS,
    ),
    *(
        rejected(f"the {part} never ends", on(part, NEVER_ENDING), ContentRejected, "more than", at=part, sent=BUFFERS)
        for part in ("tag", "manifest")
    ),
    *(
        rejected(
            f"the {part} never ends",
            on(part, NEVER_ENDING),
            SignatureRejected,
            "more than|beyond",
            at=part,
            sent=BUFFERS,
        )
        for part in ("referrers", "signature", "bundle")
    ),
    published("the referrers API never ends", on("api", endless(Content_Type=OCI_INDEX)), sent=BUFFERS),
    rejected(
        "not to be there never ends",
        on("kernel", endless_error(404)),
        ContentRejected,
        "not in the registry",
        at="kernel",
        sent=BUFFERS,
    ),
    *(
        away(
            f"{status} never ends", on("kernel", endless_error(status)), str(status), at="kernel", asks=asks, sent=sent
        )
        for status, asks, sent in ((503, TRIES, TRIES * BUFFERS), (400, 1, BUFFERS), (403, 1, BUFFERS))
    ),
    rejected(
        "the body of a redirect never ends",
        on("manifest", endless_error(307)),
        ContentRejected,
        "not in the registry",
        at="manifest",
        requests=BEFORE["manifest"] + 2,
        sent=BUFFERS,
    ),
    away(
        "headers never end", on("manifest", endless_headers), "failed", at="manifest", asks=TRIES, sent=TRIES * BUFFERS
    ),
    away("interim answers never end", on("manifest", interim_answers), "as a whole", at="manifest", limits=SLOW),
    away(
        "the token never ends",
        each(bearer, lambda served: served.home.on("/token", endless())),
        "at length",
        at="tag",
        sent=BUFFERS,
    ),
]

ENCODED = [
    *(away(f"the {part} is compressed", encoded(part), "identity was asked for", at=part) for part in ASKED),
    away(
        "a blob is a bomb",
        on("kernel", answer(200, bomb(), Content_Encoding="gzip")),
        "identity was asked for",
        at="kernel",
    ),
    away(
        "the transfer is compressed",
        changed("manifest", lambda content: framed(gzip.compress(content), Transfer_Encoding="gzip, chunked")),
        "failed",
        at="manifest",
        asks=TRIES,
    ),
]

REDIRECTED = [
    *(
        away(
            f"the {part} is redirected to itself",
            to_itself(part),
            "redirects more than 3 times",
            at=part,
            asks=4,
        )
        for part in ASKED
    ),
    *(
        published(
            f"the {part} is elsewhere",
            elsewhere(part),
            more_requests=2 if part == "config" else 1,
            elsewhere=2 if part == "config" else 1,
        )
        for part in ASKED
    ),
    published(
        "a blob is elsewhere, under a token",
        each(bearer, elsewhere("kernel")),
        more_requests=2,
        elsewhere=1,
    ),
    rejected(
        "a blob is elsewhere, with other bytes",
        elsewhere("kernel", behaviour=answer(200, OTHER)),
        ContentRejected,
        "other bytes",
        at="kernel",
        requests=REQUESTS + 1,
        elsewhere=1,
    ),
    away(
        "elsewhere asks for the password",
        elsewhere("kernel", behaviour=demand('Basic realm="images"')),
        "sends us, refuses",
        at="kernel",
        asks=2,
        elsewhere=1,
    ),
    away(
        "elsewhere names a token service of its own",
        lambda served: elsewhere(
            "kernel", behaviour=demand(f'Bearer realm="{served.elsewhere.url}/token",service="images"')
        )(served),
        "sends us, refuses",
        at="kernel",
        asks=2,
        elsewhere=1,
    ),
    away(
        "elsewhere sends us back, where nobody gets in without a credential",
        back_home,
        "refuses",
        at="kernel",
        asks=3,
        elsewhere=1,
    ),
    *(
        away(
            f"the {part} is led from HTTPS to HTTP",
            elsewhere(part),
            "from HTTPS to plain HTTP",
            at=part,
            origins=("https", "http"),
        )
        for part in ASKED
    ),
    published(
        "a blob is elsewhere, by HTTPS", elsewhere("kernel"), more_requests=1, elsewhere=1, origins=("https", "https")
    ),
]

REALMS = [
    away(
        "the realm is HTTP at another name, as the registry is",
        realm("tag", lambda served: f"http://token.test:{served.elsewhere.port}/token"),
        "credential to be sent over plain HTTP",
        at="tag",
        requests=1,
        plain_http=True,
        asks_for_credential=False,
    ),
    *(
        away(
            f"the realm is {name}",
            realm("tag", make),
            says,
            at="tag",
            requests=1,
            origins=("https", "http"),
            asks_for_credential=False,
        )
        for name, make, says in (
            ("HTTP at another name", lambda served: f"http://token.test:{served.elsewhere.port}/token", "plain HTTP"),
            (
                "HTTP at the registry's name",
                lambda served: f"http://registry.test:{served.elsewhere.port}/token",
                "plain",
            ),
            ("HTTP at an address", lambda served: f"{served.elsewhere.url}/token", "plain HTTP"),
            ("with a user", lambda served: f"https://u:p@127.0.0.1:{served.elsewhere.port}/token", "user name"),
            ("where clouds keep their metadata", lambda _: "https://metadata.test/latest/api/token", "our own network"),
            ("a file", lambda _: "file:///etc/passwd", "no HTTP URL"),
            ("no URL", lambda _: "https://127.0.0.1:99999999/", "URL"),
            ("a path", lambda _: "/token", "no HTTP URL"),
        )
    ),
    away(
        "the realm is HTTP at another name, for the second request",
        realm("manifest", lambda served: f"http://token.test:{served.elsewhere.port}/token"),
        "plain HTTP",
        at="manifest",
        origins=("https", "http"),
    ),
]

TOKENS = [
    published(
        "the token expires in the middle of a blob",
        expiring(answer(200, {"token": "second"})),
        more_requests=4,
    ),
    published(
        "the token expires in the middle of a blob, and its service is away for a moment",
        expiring(answer(503), answer(200, {"token": "second"})),
        more_requests=6,
    ),
    away(
        "the token expires in the middle of a blob, and its service is away",
        expiring(answer(503)),
        "503",
        at="kernel",
        requests=BEFORE["kernel"] + 2 + 2 * TRIES,
    ),
    away(
        "the token expires in the middle of a blob, and there is no other",
        expiring(answer(403)),
        "refuses our credential",
        at="kernel",
        requests=BEFORE["kernel"] + 4,
    ),
    away(
        "the token expires in the middle of a blob, and the next is no good",
        expiring(answer(200, {"token": "third"})),
        "refuses GET .* with 401",
        at="kernel",
        requests=BEFORE["kernel"] + 5,
    ),
]

BUSY = [
    *(
        away(
            f"the {part} is 429 for eleven days",
            on(part, answer(429, Retry_After="999999")),
            "429",
            at=part,
            asks=TRIES,
            pause=30,
            seconds=130,
        )
        for part in (*ASKED, "api")
    ),
    away(
        "a blob is 429 until a day long ago",
        on("kernel", answer(429, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT")),
        "429",
        at="kernel",
        asks=TRIES,
    ),
    *(
        published(
            f"the {part} is 429 for eleven days, and well",
            once(part, answer(429, Retry_After="999999")),
            more_requests=1,
            seconds=50,
        )
        for part in ("tag", "bundle", "kernel")
    ),
    *(
        published(f"the {part} is 503 twice, then well", once(part, answer(503), answer(503)), more_requests=2)
        for part in (*ASKED, "api")
    ),
    *(away(f"the {part} is 503", on(part, answer(503)), "503", at=part, asks=TRIES) for part in (*ASKED, "api")),
    *(away(f"the {part} is 400", on(part, answer(418)), "418", at=part) for part in ASKED),
]

SLOWLY = [
    *(
        away(
            f"the {part} comes one byte a second",
            changed(part, lambda content: drip(content, seconds=1)),
            "as a whole|bytes a second",
            at=part,
            limits=SLOW,
        )
        for part in ("tag", "manifest", "bundle", "kernel")
    ),
    away(
        "headers come one byte a second",
        changed("manifest", lambda content: drip(content, seconds=1, head=True)),
        "as a whole",
        at="manifest",
        limits=SLOW,
    ),
    away("nothing is said", on("manifest", silent()), "nothing came", at="manifest", asks=TRIES, limits=SILENT),
]

LARGE = [
    *(
        rejected(
            f"the {part} has 200 MiB",
            on(part, large(OCI_MANIFEST)),
            ContentRejected,
            "more than",
            at=part,
            sent=BUFFERS,
        )
        for part in ("tag", "manifest")
    ),
    *(
        rejected(
            f"the {part} has 200 MiB",
            on(part, large(OCI_MANIFEST)),
            SignatureRejected,
            "more than|has 2",
            at=part,
            sent=BUFFERS,
        )
        for part in ("referrers", "signature", "bundle")
    ),
    rejected(
        "the manifest has 200 MiB in chunks",
        on("manifest", chunked(lambda: spaces(200), Content_Type=OCI_MANIFEST)),
        ContentRejected,
        "more than",
        at="manifest",
        sent=BUFFERS,
    ),
    *(
        rejected(
            f"the referrers are {name}",
            on("referrers", answer(200, body, Content_Type=OCI_INDEX)),
            SignatureRejected,
            says,
            at="referrers",
            sent=BUFFERS,
        )
        for name, body, says in (
            ("nested a hundred thousand deep", deep_json(), "too deeply"),
            ("a million of nothing", wide_json(), "brackets, commas and colons"),
            ("an object of 400,000 keys", many_keys(), "brackets, commas and colons"),
        )
    ),
    published("pages of referrers never end", on("api", pages), more_requests=4, sent=BUFFERS),
    rejected(
        "the manifests of an index are too much together",
        too_much_of_an_index,
        ContentRejected,
        "bytes together",
        at="manifest",
    ),
]

CHANGING = [
    rejected(
        "the manifest is another one when it is asked for by its digest",
        changed("manifest", lambda content: manifest(content.replace(b"kernel.v1", b"kernel.v2"))),
        ContentRejected,
        "other bytes",
        at="manifest",
    ),
    rejected(
        "a manifest of an index is another one",
        each(
            ServedImage.wrap_in_index,
            changed("child", lambda content: manifest(content.replace(b"kernel.v1", b"kernel.v2"))),
        ),
        ContentRejected,
        "other bytes",
        at="config",
    ),
    rejected(
        "the tag has moved to an image that nobody signed",
        moved(sign=False),
        SignatureRejected,
        "no signature",
        at="bundle",
    ),
    rejected(
        "the tag has moved to another image than was announced",
        moved(sign=True),
        ContentRejected,
        "announced with sha256",
        at="tag",
        claims={"sha256": "{hex}"},
    ),
    published(
        "the tag has moved, and the digest was announced",
        moved(sign=True),
        more_requests=-1,
        claims={"oci_digest": "{digest}"},
    ),
    away(
        "the tag moves between two attempts, and the first digest counts",
        on("kernel", answer(503)),
        "503",
        at="kernel",
        asks=TRIES,
        after=moved(sign=True),
    ),
]

ABSENT = [
    rejected("a blob is not there", on("kernel", answer(404)), ContentRejected, "not in the registry", at="kernel"),
    rejected("the config is not there", on("config", answer(404)), ContentRejected, "not in the registry", at="config"),
    rejected("the manifest is not there", on("manifest", answer(404)), ContentRejected, "not in the", at="manifest"),
    rejected("the tag is not there", on("tag", answer(404)), ReferenceRejected, "has no tag v1", at="tag"),
    rejected(
        "the referrers are not there", on("referrers", answer(404)), SignatureRejected, "no signature", at="referrers"
    ),
    rejected(
        "the signature is not there", on("signature", answer(404)), SignatureRejected, "not in the", at="signature"
    ),
    rejected("the bundle is not there", on("bundle", answer(404)), SignatureRejected, "not in the", at="bundle"),
]

RESET = [
    *(published(f"the {part} is reset once", once(part, reset()), more_requests=1) for part in (*ASKED, "api")),
    *(away(f"the {part} is reset", on(part, reset()), "failed", at=part, asks=TRIES) for part in (*ASKED, "api")),
    published("a blob is reset in its middle", once("kernel", reset_in_the_middle), more_requests=1),
    away(
        "an answer is reset in its head", on("manifest", reset(b"HTTP/1.1 200 O")), "failed", at="manifest", asks=TRIES
    ),
]

CASES = [
    *WRONG_DIGEST,
    *WRONG_LENGTH,
    *TRUNCATED,
    *ENDLESS,
    *ENCODED,
    *REDIRECTED,
    *REALMS,
    *TOKENS,
    *BUSY,
    *SLOWLY,
    *LARGE,
    *CHANGING,
    *ABSENT,
    *RESET,
]
IN_MEMORY = [*ENDLESS, *ENCODED, *LARGE]
"""Those that would be large in memory, if we let them."""
