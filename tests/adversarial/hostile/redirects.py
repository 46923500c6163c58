"""Redirects: in circles, to another origin, and from HTTPS to HTTP."""

from __future__ import annotations

from bootpress.core.errors import ContentRejected
from tests.adversarial.hostile.answers import altered
from tests.adversarial.hostile.case import ASKED, Mischief, away, each, published, rejected
from tests.adversarial.hostile.tokens import bearer
from tests.support.hostile_registry import Behaviour, answer, demand, redirect
from tests.support.served_images import REQUESTS, ServedImage

ASKED_TWICE = frozenset({"manifest", "config"})
"""Parts that are asked for again beside the blobs."""


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
            more_requests=2 if part in ASKED_TWICE else 1,
            elsewhere=2 if part in ASKED_TWICE else 1,
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
        lambda served: elsewhere("kernel", behaviour=answer(200, altered(served.content("kernel"))))(served),
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
