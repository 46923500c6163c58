"""Content that is not what its name says, is another the next time, or is not there."""

from __future__ import annotations

from bootpress.adapters.oci.manifests import digest_of
from bootpress.core.errors import ContentRejected, ReferenceRejected, SignatureRejected
from tests.adversarial.hostile.answers import altered
from tests.adversarial.hostile.case import TRIES, Mischief, away, changed, each, on, published, rejected
from tests.support.hostile_registry import answer, manifest, send
from tests.support.served_images import ServedImage


def moved(*, sign: bool) -> Mischief:
    """Let the tag name another image between the announcement and the ingest."""
    return lambda served: served.move_tag(sign=sign)


WRONG_DIGEST = [
    rejected(
        "a blob has other bytes",
        changed("kernel", lambda content: answer(200, altered(content))),
        ContentRejected,
        "other bytes",
        at="kernel",
    ),
    rejected(
        "a blob has other bytes and no length",
        changed("kernel", lambda content: send(altered(content))),
        ContentRejected,
        "other bytes",
        at="kernel",
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
