"""What Gitea answered, and what a refusal means: pure.

Gitea's own words are quoted, one line of them, and not at all where they repeat our token or the secret that was sent.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from bootpress.adapters.forges.gitea.schemas import GiteaModel
from bootpress.core.errors import BootpressError, ForgeRefused, ForgeUnavailable, InvalidInput, NotFound
from bootpress.core.strict_json import parse

MAX_WORDS = 200
TELLING = 8
"""Characters of a secret's line that tell something of it: a forge may repeat one with its line breaks escaped."""
RECONNECT = "connect the forge again with system_connect_forge"
ROUTELESS = b"404 page not found"
"""What Gitea answers where its version has no such route; of what is not there it speaks in JSON."""
_REQUIRED = re.compile(r"required=\[([a-z:, -]{1,300})\]")
_HELD = re.compile(r"token scope=([a-z:,-]{0,600})")
_MOVED = re.compile(r"/api/v1/repos/([^/]{1,100})/([^/?]{1,100})")
_COUNT = re.compile(r"[0-9]{1,15}", re.ASCII)
_HINTS = {
    "owner of the repo": "Gitea leaves this to a repository's owner, or an owner of its organisation: use their token",
    "workflow is disabled": "enable the workflow on the repository's Actions page",
    "allowed to create repositor": "an owner of the organisation can let the token's user create repositories",
    "secret name": "names are letters, digits and _, do not begin with a digit, and not with GITEA_ or GITHUB_",
    "permission to write": "give the token's user the right to write to the repository",
}
D = TypeVar("D", bound=GiteaModel)


@dataclass(frozen=True, slots=True)
class GiteaResponse:
    """A response that was read whole; a refusal may be cut."""

    status: int
    headers: httpx.Headers
    body: bytes
    secrets: Collection[str] = field(default=(), repr=False)
    """What was sent and is in no message."""

    @property
    def is_json(self) -> bool:
        """Tell whether it says that it is JSON, as all that Gitea's API has to say is."""
        kind: str = self.headers.get("content-type", "")
        return kind.partition(";")[0].strip().lower() == "application/json"

    @property
    def is_unknown_route(self) -> bool:
        """Tell whether Gitea has no such route."""
        return self.status == HTTPStatus.NOT_FOUND and self.body.strip() == ROUTELESS

    @property
    def message(self) -> str:
        """Return the first line of Gitea's message, to decide by; empty where there is none."""
        if not self.is_json:
            return ""
        try:
            message = parse(self.body, what="the refusal")["message"]
        except (InvalidInput, KeyError, TypeError, IndexError):
            return ""
        lines = message.strip().splitlines() if isinstance(message, str) else []
        return "".join(character for character in lines[0] if character.isprintable()) if lines else ""

    @property
    def quotable(self) -> str:
        """Return what of these words may be in a message: none where they repeat a secret, or a line of one."""
        words, secrets = self.message, self.secrets
        lines = (line for secret in secrets for line in secret.splitlines() if len(line) >= TELLING)
        return "" if any(part in words for part in (*secrets, *lines)) else words[:MAX_WORDS]

    def read(self, kind: type[D], *, to: str) -> D:
        """Return what it says; ForgeUnavailable where that is not what Gitea says."""
        return _validate(TypeAdapter(kind), self.document(to=to), to=to)

    def read_many(self, kind: type[D], key: str | None, *, to: str) -> tuple[list[D], int | None]:
        """Return the entries of a page, and how many there are in all where it says so."""
        document = self.document(to=to)
        count = self.headers.get("x-total-count", "")
        total = int(count) if _COUNT.fullmatch(count) else None
        if key is not None:
            if not isinstance(document, dict):
                raise _otherwise("no object", to=to)
            stated = document.get("total_count")
            total = stated if isinstance(stated, int) else total
            document = document.get(key)
        many: TypeAdapter[list[D]] = TypeAdapter(list[kind])  # type: ignore[valid-type]  # a type that is a variable
        return _validate(many, document if document is not None else [], to=to), total

    def document(self, *, to: str) -> Any:
        """Return its JSON; ForgeUnavailable where it is none."""
        if not self.is_json:
            raise _not_gitea(self, to=to)
        try:
            return parse(self.body, what="the answer")
        except InvalidInput as error:
            raise _otherwise(error.message, to=to) from error


T = TypeVar("T")


def _validate(kind: TypeAdapter[T], document: Any, *, to: str) -> T:
    try:
        return kind.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:100]
        raise _otherwise(f"{where}: {first['msg'][:100]}", to=to) from error


def _otherwise(how: str, *, to: str) -> ForgeUnavailable:
    return ForgeUnavailable(f"asked to {to}, the forge answers otherwise than Gitea does: {how}")


def _not_gitea(answer: GiteaResponse, *, to: str) -> BootpressError:
    """Say that something else answers: a proxy's page of a refusal will be there again, any other may pass."""
    kind = answer.headers.get("content-type", "nothing").partition(";")[0][:60]
    is_final = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return (ForgeRefused if is_final else ForgeUnavailable)(
        f"asked to {to}, what answers is not Gitea's API (status {answer.status}, {kind})",
        hint="is a proxy or a sign-in page before it? the forge's url is the base of Gitea's pages",
    )


def error_for(answer: GiteaResponse, url: httpx.URL, *, to: str) -> BootpressError:
    """Return what a status means that the caller has no use for: ForgeRefused, NotFound or ForgeUnavailable."""
    status = answer.status
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return _moved(answer.headers.get("location", ""), url, to=to)
    if not answer.is_json:
        return _not_gitea(answer, to=to)
    quoted = f": {answer.quotable}" if answer.quotable else ""
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return ForgeRefused(
                f"Gitea at {origin(url)} does not accept our token",
                hint=f"make a token in Gitea (Settings, Applications) and {RECONNECT}",
            )
        case HTTPStatus.FORBIDDEN:
            return _forbidden(answer, quoted, to=to)
        case HTTPStatus.NOT_FOUND:
            return NotFound(f"Gitea cannot {to}: there is nothing that our token may see{quoted}")
    return ForgeRefused(f"Gitea refuses to {to} (status {status}){quoted}", hint=_hint(answer))


def _forbidden(answer: GiteaResponse, quoted: str, *, to: str) -> ForgeRefused:
    scopes = missing_scopes(answer.message)
    if scopes:
        named = " and ".join(scopes)
        return ForgeRefused(
            f"our token lacks the scope {named}, without which Gitea refuses to {to}",
            hint=f"make a token that has {named} too, and {RECONNECT}",
        )
    hint = _hint(answer) or "the token's user needs the right to do this in Gitea"
    return ForgeRefused(f"Gitea refuses to {to}{quoted}", hint=hint)


def _hint(answer: GiteaResponse) -> str | None:
    words = answer.message
    return next((hint for part, hint in _HINTS.items() if part in words), None)


def missing_scopes(words: str) -> tuple[str, ...]:
    """Return which of the scopes that a refusal requires the token has not."""
    required = _REQUIRED.search(words)
    if required is None:
        return ()
    held = held_scopes(words) or frozenset()
    return tuple(scope for scope in re.split(r"[ ,]+", required[1].strip()) if not has_scope(held, scope))


def held_scopes(words: str) -> frozenset[str] | None:
    """Return what scopes a refusal says that our token has; None where it does not say."""
    held = _HELD.search(words)
    return frozenset(filter(None, held[1].split(","))) if held else None


def has_scope(held: frozenset[str], scope: str) -> bool:
    """Tell whether scopes contain another: all contains each, and writing reading."""
    return bool(held & {scope, scope.replace("read:", "write:"), "all"})


def _moved(location: str, url: httpx.URL, *, to: str) -> ForgeRefused:
    """Redirects are not followed: another origin is not to have our token, and another repository was not asked for."""
    try:
        there = url.join(location)
    except (httpx.InvalidURL, ValueError):
        return ForgeRefused(f"asked to {to}, {origin(url)} redirects to what is no URL")
    moved = _MOVED.search(there.path)
    if origin(there) == origin(url) and moved:
        return ForgeRefused(
            f"Gitea refuses to {to}: the repository is {moved[1]}/{moved[2]} now", hint="use its new name"
        )
    return ForgeRefused(
        f"asked to {to}, {origin(url)} redirects to {origin(there)}, and our token is not for others",
        hint="connect the forge with the url at which Gitea itself answers: system_connect_forge",
    )


def origin(url: httpx.URL) -> str:
    """Return scheme, host and port."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"[:200]
