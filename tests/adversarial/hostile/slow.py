"""Registries that are busy, away, or slow."""

from __future__ import annotations

from tests.adversarial.hostile.case import ASKED, SILENT, SLOW, TRIES, away, changed, on, once, published
from tests.support.hostile_registry import answer, drip, silent

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
        for part in (*ASKED, "api")
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
