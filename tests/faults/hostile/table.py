"""The table of what a hostile registry does to an ingest, and of what must come of it.

Each case misserves one part of a signed image (tests/support/served_images.py) and says what error an operator reads,
whether the delivery is published, failed for good or postponed, and how many requests and bytes the registry may get
out of us.
"""

from __future__ import annotations

from tests.faults.hostile.content import ABSENT, CHANGING, WRONG_DIGEST
from tests.faults.hostile.lengths import RESET, TRUNCATED, WRONG_LENGTH
from tests.faults.hostile.pace import BUSY, SLOWLY
from tests.faults.hostile.redirects import REDIRECTED
from tests.faults.hostile.sizes import ENCODED, ENDLESS, LARGE
from tests.faults.hostile.tokens import REALMS, TOKENS

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
