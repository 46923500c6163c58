"""Answers whose length is wrong or not said, that break off, or whose connection is reset."""

from __future__ import annotations

from bootpress.adapters.oci.manifests import OCI_MANIFEST
from bootpress.core.errors import ContentRejected, SignatureRejected
from tests.adversarial.hostile.answers import altered, chunked, framed, of_type
from tests.adversarial.hostile.case import ASKED, TRIES, Mischief, away, changed, on, once, published, rejected
from tests.support.hostile_registry import Behaviour, answer, ranged, reset, send
from tests.support.served_images import REQUESTS


def without_length(part: str, *, cut: int = 0, then_well: bool = False) -> Mischief:
    """Send a part without a length, and the last bytes of it not at all, always or once."""

    def make(content: bytes) -> Behaviour:
        return send(content[: len(content) - cut], Content_Type=of_type(content))

    return changed(part, make, then_well=then_well)


def broken_off(part: str, *, then_well: bool = False) -> Mischief:
    """Send the first bytes of a part under its whole length, always or once."""
    return changed(part, lambda content: send(content[:20], length=len(content)), then_well=then_well)


def stating(length: str) -> Mischief:
    """Send the manifest under a length of one's choice."""
    return changed("manifest", lambda content: framed(content, Content_Length=length, Content_Type=OCI_MANIFEST))


def halves(content: bytes) -> tuple[bytes, bytes]:
    """Return the first and the second half."""
    return content[: len(content) // 2], content[len(content) // 2 :]


def whole(content: bytes) -> Behaviour:
    """Send everything, whatever range is asked for."""
    return answer(200, content)


def half_of_the_whole(content: bytes) -> Behaviour:
    """Break off in the middle, whatever range is asked for."""
    return send(halves(content)[0], length=len(content))


def half_of_what_is_asked(content: bytes) -> Behaviour:
    """Break off after half of the bytes, and send any range that is asked for."""
    return ranged(content, stop_after=len(content) // 2)


def more_than_half_of_another(content: bytes) -> Behaviour:
    """Break off after the first byte that is wrong."""
    return ranged(altered(content), stop_after=len(content) // 2 + 9)


def reset_in_the_middle(content: bytes) -> Behaviour:
    """Break the connection in the middle."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    return reset(head + halves(content)[0])


WRONG_LENGTH = [
    rejected(
        "a blob is longer than it should be",
        changed("kernel", lambda content: answer(200, content + b"!")),
        ContentRejected,
        "has 400001 bytes",
        at="kernel",
    ),
    rejected(
        "a blob is shorter than it should be",
        changed("kernel", lambda content: answer(200, content[:-1])),
        ContentRejected,
        "has 399999 bytes",
        at="kernel",
    ),
    rejected(
        "a blob says it is as large as nothing is",
        changed("kernel", lambda content: framed(content, Content_Length="9" * 18)),
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
    published("a blob comes in chunks", changed("kernel", lambda content: chunked(lambda: iter(halves(content))))),
]

TRUNCATED = [
    published(
        "a blob breaks off and can be resumed",
        changed("kernel", half_of_what_is_asked, then_well=True),
        more_requests=1,
    ),
    published(
        "a blob breaks off and cannot be resumed",
        changed("kernel", half_of_the_whole, whole),
        more_requests=1,
    ),
    published(
        "a blob without a length breaks off",
        changed("kernel", lambda content: send(halves(content)[0]), then_well=True),
        more_requests=1,
    ),
    published(
        "what was resumed is of another blob, and right in one piece",
        changed("kernel", more_than_half_of_another, ranged, whole),
        more_requests=2,
    ),
    rejected(
        "what was resumed is of another blob, and so is the whole",
        changed("kernel", more_than_half_of_another, lambda content: ranged(altered(content))),
        ContentRejected,
        "other bytes",
        at="kernel",
        requests=REQUESTS + 2,
    ),
    away(
        "a blob always breaks off",
        changed("kernel", lambda content: ranged(content, stop_after=99)),
        "failed|off",
        at="kernel",
        asks=TRIES,
    ),
    away(
        "a blob always breaks off and cannot be resumed",
        changed("kernel", lambda content: send(content[:99], length=len(content))),
        "failed|off",
        at="kernel",
        asks=TRIES,
    ),
    away(
        "a blob without a length breaks off",
        changed("kernel", lambda content: send(content[:99])),
        "off",
        at="kernel",
        asks=TRIES,
    ),
    *(published(f"the {part} breaks off once", broken_off(part, then_well=True), more_requests=1) for part in ASKED),
    *(away(f"the {part} always breaks off", broken_off(part), "failed|off", at=part, asks=TRIES) for part in ASKED),
    *(
        published(
            f"the {part} without a length breaks off once", without_length(part, cut=9, then_well=True), more_requests=1
        )
        for part in ASKED
    ),
    *(
        away(f"the {part} without a length always breaks off", without_length(part, cut=9), "off", at=part, asks=TRIES)
        for part in ASKED
    ),
]

RESET = [
    *(published(f"the {part} is reset once", once(part, reset()), more_requests=1) for part in (*ASKED, "api")),
    *(away(f"the {part} is reset", on(part, reset()), "failed", at=part, asks=TRIES) for part in (*ASKED, "api")),
    published("a blob is reset in its middle", changed("kernel", reset_in_the_middle, then_well=True), more_requests=1),
    away(
        "an answer is reset in its head", on("manifest", reset(b"HTTP/1.1 200 O")), "failed", at="manifest", asks=TRIES
    ),
]
