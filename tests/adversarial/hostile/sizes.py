"""More than anybody asked for: without end, compressed, too large, or large once it is read."""

from __future__ import annotations

import gzip

from bootpress.adapters.oci.manifests import OCI_INDEX, OCI_MANIFEST
from bootpress.core.errors import ContentRejected, SignatureRejected
from tests.adversarial.hostile.answers import (
    bomb,
    chunked,
    deep_json,
    endless_error,
    endless_headers,
    framed,
    interim_answers,
    large,
    many_keys,
    pages,
    spaces,
    wide_json,
)
from tests.adversarial.hostile.case import (
    ASKED,
    BEFORE,
    BUFFERS,
    MIB,
    SLOW,
    TRIES,
    Mischief,
    away,
    changed,
    each,
    on,
    published,
    rejected,
)
from tests.adversarial.hostile.tokens import bearer
from tests.support.hostile_registry import answer, endless
from tests.support.served_images import ServedImage

NEVER_ENDING = endless(Content_Type=OCI_MANIFEST)


def encoded(part: str, **headers: str) -> Mischief:
    """Send a part compressed, as nobody asked for it."""
    return changed(part, lambda content: answer(200, gzip.compress(content), Content_Encoding="gzip", **headers))


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
