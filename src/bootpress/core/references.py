"""Names of content: digests, repositories and references (OCI distribution-spec 1.1, "Pulling manifests")."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from bootpress.core.errors import InvalidInput

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?",
    re.ASCII,
)
MAX_REFERENCE = 1024
MAX_PATH = 255
MAX_PORT = 65535


def parse_digest(text: str) -> str:
    """Return `text` if it is a lower-case `sha256:` digest; raise InvalidInput otherwise."""
    if not _DIGEST.fullmatch(text):
        raise InvalidInput(f"{text[:100]!r} is not a sha256 digest", hint="write sha256: and 64 lower-case hex digits")
    return text


def digest_hex(digest: str) -> str:
    """Return the hex part of a digest."""
    return digest.removeprefix("sha256:")


@dataclass(frozen=True, slots=True)
class Repository:
    """A registry host (lower-case, with its port where one was given) and a path on it."""

    host: str
    path: str

    def __str__(self) -> str:
        """Return `host/path`."""
        return f"{self.host}/{self.path}"

    def at(self, digest: str) -> str:
        """Return the reference of a digest in this repository."""
        return f"{self}@{digest}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether the host is this machine, judged by its name alone."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository with a tag, a digest, or both; the digest wins."""

    repository: Repository
    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        """Return the reference in its usual spelling."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def is_loopback(host: str) -> bool:
    """Tell whether `host` (with or without port) names this machine: localhost, 127.0.0.0/8 or ::1."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def parse_repository(text: str) -> Repository:
    """Read `host[:port]/path`; raise InvalidInput for anything else, a tag or digest included."""
    reference = parse_reference(text)
    if reference.tag or reference.digest:
        raise InvalidInput(f"{text[:200]!r} names an image, not a repository", hint="leave the tag and digest away")
    return reference.repository


def parse_reference(text: str, *, default_host: str | None = None) -> Reference:
    """Read `host/path[:tag][@digest]`.

    A text without a registry host (`/os/images:v1`, or a first component that has neither dot, colon nor the
    name localhost) is read against `default_host`; without one it is InvalidInput.
    """
    if len(text) > MAX_REFERENCE:
        raise InvalidInput(f"the reference is longer than {MAX_REFERENCE} characters")
    rest, at, digest_text = text.strip().partition("@")
    digest = parse_digest(digest_text) if at else None
    host, path_and_tag = _split_host(rest, default_host)
    path, colon, tag = path_and_tag.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise InvalidInput(f"{text[:200]!r} has no valid tag", hint="a tag has 1 to 128 letters, digits, _ . -")
    if len(path) > MAX_PATH or not _PATH.fullmatch(path):
        raise InvalidInput(f"{text[:200]!r} has no valid repository path", hint="write host/path in lower case")
    return Reference(Repository(host.lower(), path), tag or None, digest)


def _split_host(text: str, default_host: str | None) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if slash and first and (first == "localhost" or "." in first or ":" in first):
        if not _HOST.fullmatch(first) or _port(first) > MAX_PORT:
            raise InvalidInput(f"{first[:200]!r} is not a registry host")
        return first, rest
    if default_host is None:
        raise InvalidInput(
            f"{text[:200]!r} names no registry host", hint="write host/path, for example registry.example/os/images"
        )
    return default_host, text.removeprefix("/")


def _port(host: str) -> int:
    _, colon, port = host.rpartition(":")
    return int(port) if colon and not host.endswith("]") else 0
