"""Token services: those that should not be asked, and tokens that expire in the middle of a blob."""

from __future__ import annotations

from collections.abc import Callable

from tests.adversarial.hostile.case import BEFORE, TRIES, Mischief, away, published
from tests.support.hostile_registry import Behaviour, Exchange, answer, demand, ranged
from tests.support.served_images import ServedImage


def bearer(served: ServedImage, *tokens: Behaviour, first: str = "Bearer first") -> None:
    """Let the registry want tokens from a service of its own, and serve everything for the first."""
    served.gate.challenge = f'Bearer realm="{served.home.url}/token",service="images"'
    served.gate.accepted = {first}
    served.serve()
    served.home.on("/token", answer(200, {"token": "first", "expires_in": 3600}), *tokens)


def unwell(*answers: Behaviour) -> Mischief:
    """Let the token service answer otherwise before it gives a token."""

    def mischief(served: ServedImage) -> None:
        bearer(served)
        served.home.on("/token", *answers, answer(200, {"token": "first"}))

    return mischief


def expire(served: ServedImage, *, accepted: str) -> Behaviour:
    """Break off in the middle of the kernel, and take another token from then on."""
    kernel = served.content("kernel")

    def behave(exchange: Exchange) -> None:
        served.gate.accepted = {accepted}
        ranged(kernel, stop_after=len(kernel) // 2)(exchange)

    return behave


def expiring(*tokens: Behaviour, accepted: str = "Bearer second") -> Mischief:
    """Let the token expire in the middle of the kernel; what the service says then comes after."""

    def mischief(served: ServedImage) -> None:
        bearer(served, *tokens)
        # It is asked for at the same time, and would be refused or not as it happens.
        served.home.on(served.path("config"), served.honest("config"))
        served.on("kernel", expire(served, accepted=accepted), served.honest("kernel"))

    return mischief


def realm(part: str, make: Callable[[ServedImage], str]) -> Mischief:
    """Ask for a token of a service that should not be asked; the other origin would hand one out."""

    def mischief(served: ServedImage) -> None:
        served.elsewhere.on("/token", answer(200, {"token": "stolen"}))
        served.home.on(served.path(part), demand(f'Bearer realm="{make(served)}",service="images"'))

    return mischief


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
    *(
        published(
            f"the token service is {name}, then well",
            unwell(*answers),
            more_requests=1 + 2 * len(answers),
            seconds=50,
        )
        for name, answers in (
            ("429 for eleven days", [answer(429, Retry_After="999999")]),
            ("503 twice", [answer(503), answer(503)]),
        )
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
