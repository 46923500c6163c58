"""Names of content: digests, repositories and references (OCI distribution-spec 1.1, "Pulling manifests")."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from bootpress.core.errors import InvalidInput

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_PORT = re.compile(r"[0-9]{0,5}", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\.?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?",
    re.ASCII,
)
DOCKER_HUB = "docker.io"
_DOCKER_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HTTP, _HTTPS = 80, 443
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

    @property
    def canonical(self) -> Repository:
        """Return the spelling to compare by; requests go to the host as it was given."""
        host = canonical_host(self.host)
        is_official = is_docker_hub(host) and "/" not in self.path
        return Repository(host, f"library/{self.path}" if is_official else self.path)


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
    """Tell whether `host` (with or without port) names this machine (RFC 6761, 6.3; RFC 1122, 3.2.1.3)."""
    return _names_this_machine(_split_port(host)[0])


def _names_this_machine(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


@lru_cache(maxsize=4096)  # fair queueing compares the hosts of a thousand queues for each place
def canonical_host(host: str) -> str:
    """Return the one spelling of a registry host that its known aliases share, for comparison only.

    Aliases are the names of Docker Hub, the port that the scheme implies, a dot at the end, upper case, and the names
    of this machine.
    """
    name, port = _split_port(host)
    if _names_this_machine(name):
        return f"localhost:{port or _HTTP}"
    name = f"[{name}]" if ":" in name else name  # else the end of an IPv6 address would pass for a port
    if port in {None, _HTTPS}:
        return DOCKER_HUB if name in _DOCKER_HUB_NAMES else name
    return f"{name}:{port}"


def is_docker_hub(host: str) -> bool:
    """Tell whether a host is a name of Docker Hub."""
    return canonical_host(host) == DOCKER_HUB


def _split_port(host: str) -> tuple[str, int | None]:
    """Return a host's name, in lower case and without its final dot, and its port."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or host.endswith("]") or not _PORT.fullmatch(port):
        name, port = host.lower(), ""
    bare = name.rstrip(".").strip("[]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return bare, int(port) if port else None
    address = getattr(address, "ipv4_mapped", None) or address
    return str(address), int(port) if port else None


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
    return Reference(Repository(_without_final_dot(host.lower()), path), tag or None, digest)


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


def _without_final_dot(host: str) -> str:
    name, colon, port = host.partition(":")
    return host if host.startswith("[") else f"{name.removesuffix('.')}{colon}{port}"


def _port(host: str) -> int:
    _, colon, port = host.rpartition(":")
    return int(port) if colon and not host.endswith("]") else 0
