"""Addresses that operators give: pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from bootpress.core import references
from bootpress.core.errors import InvalidInput
from bootpress.core.references import parse_repository

_HOST: Final = re.compile(r"(?:[a-z0-9]+(?:[._-]+[a-z0-9]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def parse_base_url(base: str, *, field: str) -> str:
    """Return a base URL without a slash at its end; InvalidInput unless it is plain http(s)://host[:port][/path]."""
    refusal = InvalidInput(f"{field}: {base[:200]!r} is not a base URL", hint="write https://host[:port]", field=field)
    try:
        parts = urlsplit(base)
        plain = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError as error:
        raise refusal from error
    if not plain or any(character in "?#@\\" or not "!" <= character <= "~" for character in base):
        raise refusal
    return base.rstrip("/")


def check_host(host: str, *, field: str) -> str:
    """Return a registry host in lower case; InvalidInput unless it is `host[:port]`."""
    refusal = InvalidInput(
        f"{field}: {host[:200]!r} is not a registry host", hint="write host[:port], without scheme or path", field=field
    )
    if "/" in host:
        raise refusal
    try:
        return parse_repository(f"{host}/name").host
    except InvalidInput as error:
        raise refusal from error


def check_networks(given: str, *, field: str) -> list[str]:
    """Return the IP addresses and networks of a comma-separated list, each in one spelling; InvalidInput for others."""
    found = []
    for one in filter(None, (part.strip() for part in given.split(","))):
        try:
            found.append(str(ipaddress.ip_network(one, strict=False) if "/" in one else ipaddress.ip_address(one)))
        except ValueError as error:
            raise InvalidInput(
                f"{field}: {one[:100]!r} is no IP address or network",
                hint="write 192.0.2.1 or 192.0.2.0/24, several with commas between",
                field=field,
            ) from error
    return found


def check_authorities(given: str, *, field: str) -> list[str]:
    """Return the `host` or `host:port` of a comma-separated list, in lower case; InvalidInput for others."""
    found = []
    for one in filter(None, (part.strip().lower() for part in given.split(","))):
        try:
            parts = urlsplit(f"//{one}")
            is_plain = parts.netloc == one and parts.hostname and "@" not in one and parts.port != 0
        except ValueError:
            is_plain = False
        if not is_plain or not _HOST.fullmatch(one):
            raise InvalidInput(
                f"{field}: {one[:100]!r} is no host",
                hint="write host or host:port, without scheme or path, several with commas between",
                field=field,
            )
        found.append(one)
    return found


def is_loopback(url: str) -> bool:
    """Tell whether a URL, or `//host:port`, leads to this machine only."""
    host = urlsplit(url).hostname or ""
    return references.is_loopback(f"[{host}]" if ":" in host else host)


def rate_limit_key(address: str) -> str:
    """Return who is counted under an address: of IPv6 the network of 64 bits, within which anybody has any address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found.packed[:8] + bytes(8), 64)))
