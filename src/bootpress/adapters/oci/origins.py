"""Where requests may go, and what they may carry there: pure decisions about URLs.

A registry chooses the targets of its redirects and the realm of its tokens, so both are an attacker's to write:

- HTTPS, except to this machine and where the connection says `plain_http`; never from HTTPS back to HTTP.
- No user name or password inside a URL; no other scheme.
- Credentials go to the registry itself and to its realm, never to the target of a redirect. To a realm they go over
  HTTPS; over HTTP only on the registry's own origin, or where both are this machine.
- The addresses behind a name are judged when the connection is made (`wire`), not here: names can lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from bootpress.core.errors import RegistryUnavailable
from bootpress.core.references import is_docker_hub, is_loopback

MAX_URL = 8192
MAX_PORT = 65535
PORTS = {"http": 80, "https": 443}
# The name in references to Docker Hub is not the name of its registry (distribution/reference, "familiar" names).
DOCKER_HUB_REGISTRY = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what two URLs share when they speak to the same server (RFC 6454)."""

    scheme: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Tell whether the host is this machine, judged by its name alone."""
        return is_loopback(f"[{self.host}]" if ":" in self.host else self.host)

    def __str__(self) -> str:
        """Return `scheme://host:port`, the port only where it is not the scheme's own."""
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}{port}"


def origin_of(url: httpx.URL) -> Origin:
    """Return the origin of an absolute HTTP or HTTPS URL."""
    return Origin(url.scheme, url.host, url.port or PORTS[url.scheme])


def registry_url(host: str, *, plain_http: bool) -> httpx.URL:
    """Return the base URL of a registry host: HTTP for this machine or when asked for, else HTTPS.

    A registry on a loopback name is always spoken to by HTTP, as docker and oras do first; one that speaks TLS there
    is reached by a name of its own.
    """
    scheme = "http" if plain_http or is_loopback(host) else "https"
    name = DOCKER_HUB_REGISTRY if is_docker_hub(host) else host
    url = httpx.URL(f"{scheme}://{name}/")
    if not _has_port(url):
        raise RegistryUnavailable(f"{host} has no port that exists", hint=f"a port is 1 to {MAX_PORT}")
    return url


def follow_location(current: httpx.URL, location: str | None, *, plain_http: bool) -> httpx.URL:
    """Return where a redirect or an upload session leads; RegistryUnavailable where we do not follow."""
    if not location or len(location) > MAX_URL:
        raise RegistryUnavailable(f"{origin_of(current)} redirects without saying where to")
    try:
        target = current.join(location)
    except (httpx.InvalidURL, ValueError):  # which quotes it, and it may hold what we sent
        raise RegistryUnavailable(f"{origin_of(current)} redirects to something that is no URL") from None
    _check_url(target, by=origin_of(current), what="redirects to")
    _check_downgrade(current, target)
    if target.scheme == "http" and not (plain_http or origin_of(target).is_loopback):
        raise RegistryUnavailable(
            f"{origin_of(current)} redirects to plain HTTP at {target.host}",
            hint="serve it by HTTPS, or connect the registry with plain_http",
        )
    return target


def check_realm(realm: str, registry: Origin, *, with_credentials: bool) -> httpx.URL:
    """Return the URL of a token service that a registry names; RegistryUnavailable where we do not ask for tokens."""
    try:
        url = httpx.URL(realm)
    except (httpx.InvalidURL, ValueError):
        raise RegistryUnavailable(f"{registry} names a token service that is no URL") from None
    _check_url(url, by=registry, what="names a token service at")
    service = origin_of(url)
    if service.scheme == "http" and registry.scheme != "http":
        raise RegistryUnavailable(f"{registry} names a token service that speaks plain HTTP, at {service}")
    safe = service.scheme == "https" or service == registry or (service.is_loopback and registry.is_loopback)
    if with_credentials and not safe:
        raise RegistryUnavailable(
            f"{registry} asks for its credential to be sent over plain HTTP to {service}",
            hint="let the token service speak HTTPS",
        )
    return url


def _check_url(url: httpx.URL, *, by: Origin, what: str) -> None:
    if url.scheme not in PORTS or not url.host or not _has_port(url) or len(str(url)) > MAX_URL:
        raise RegistryUnavailable(f"{by} {what} something that is no HTTP URL")
    if url.userinfo:
        raise RegistryUnavailable(f"{by} {what} a URL with a user name in it")


def _has_port(url: httpx.URL) -> bool:
    return url.port is None or 0 < url.port <= MAX_PORT  # beyond it, sockets take the remainder: another port


def _check_downgrade(current: httpx.URL, target: httpx.URL) -> None:
    if current.scheme == "https" and target.scheme == "http":
        raise RegistryUnavailable(f"{origin_of(current)} redirects from HTTPS to plain HTTP")
