"""The table of what a hostile registry does to an ingest, and of what must come of it.

Each case misserves one part of a signed image (tests/support/served_images.py) and says what error an operator reads,
whether the delivery is published, failed for good or postponed, and how many requests and bytes the registry may get
out of us.
"""

from __future__ import annotations

from tests.adversarial.hostile.content import ABSENT, CHANGING, WRONG_DIGEST
from tests.adversarial.hostile.lengths import RESET, TRUNCATED, WRONG_LENGTH
from tests.adversarial.hostile.redirects import REDIRECTED
from tests.adversarial.hostile.sizes import ENCODED, ENDLESS, LARGE
from tests.adversarial.hostile.slow import BUSY, SLOWLY
from tests.adversarial.hostile.tokens import REALMS, TOKENS

FAMILIES = (
    WRONG_DIGEST,
    WRONG_LENGTH,
    TRUNCATED,
    ENDLESS,
    ENCODED,
    REDIRECTED,
    REALMS,
    TOKENS,
    BUSY,
    SLOWLY,
    LARGE,
    CHANGING,
    ABSENT,
    RESET,
)
CASES = [case for family in FAMILIES for case in family]
LARGE_ANSWERS = [*ENDLESS, *ENCODED, *LARGE]
"""Those that would be large in memory, if we let them."""
LARGE_BLOBS = [
    case
    for case in CASES
    if case.name
    in {
        "a blob has other bytes",
        "a blob is longer than it should be",
        "the kernel has no length",
        "a blob comes in chunks",
        "a blob breaks off and can be resumed",
        "a blob breaks off and cannot be resumed",
        "what was resumed is of another blob, and so is the whole",
        "the kernel is redirected to itself",
        "the kernel is elsewhere",
        "the kernel is led from HTTPS to HTTP",
        "the realm is HTTP at another name",
        "the token expires in the middle of a blob",
        "the kernel is 429 for eleven days, and well",
        "the kernel is 503 twice, then well",
        "the kernel comes one byte a second",
        "the manifest is another one when it is asked for by its digest",
        "the tag has moved, and the digest was announced",
        "a blob is not there",
        "a blob is reset in its middle",
    }
]
"""One of each other kind: their memory is measured with a blob that is larger than what they may take of it."""
