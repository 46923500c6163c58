"""Change bytes in ways that fit what they hold: JSON, DER (X.690), PEM and base64, each inside the other.

One random source decides everything, so Hypothesis and atheris can both drive it and repeat what it did.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from random import Random
from typing import Any

from tests.support.sigstore_services.encoding import tagged

_DEEPEST = 8
_CONSTRUCTED = 0x20
_OCTET_STRING = 0x04
_LONG_FORM = 0x80
_TAGS = (
    0x01,
    0x02,
    0x03,
    0x04,
    0x05,
    0x06,
    0x0A,
    0x0C,
    0x13,
    0x16,
    0x17,
    0x18,
    0x30,
    0x31,
    0x80,
    0x82,
    0x86,
    0xA0,
    0xA3,
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{8,}={0,2}")
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----\n([A-Za-z0-9+/=\n]+)-----END \1-----\n?")
_TOKENS = (
    b"null", b"{}", b"[]", b'"', b",", b":", b"1e999", b"-0", b"\\ud800", b'"a":', b"true", b"\x00", b"\n", b"==",
    b"\xff", b"\xef\xbb\xbf", b"\r\n", b" ", b"@", b"/", b"//", b"..", b"::1", b"[", b"]", b"%", b"sha256:", b"sha256=",
    b"\x30\x80",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, -0.0, 2**31, 2**63, 2**64, 10**400, 1e308, "", " ", "\0", "\ud800", "\u202e", "é",
    "7", "null", "=", "AA==", "a" * 300, "\n", [], {}, [[]], [{}], {"": ""}, [None] * 9,
)  # fmt: skip


def mutate(raw: bytes, chance: Random, depth: int = 0) -> bytes:
    """Return bytes that differ from `raw` in one place or a few, most often in a way that its readers get far with."""
    if depth < _DEEPEST and chance.random() < 0.85:
        for change in (_change_json, _change_pem, _change_base64, _change_der):
            changed = change(raw, chance, depth)
            if changed is not None:
                return changed
    for _ in range(chance.randint(1, 3)):
        raw = _change_bytes(raw, chance)
    return raw


def _change_bytes(raw: bytes, chance: Random) -> bytes:
    """Cut, repeat, replace or insert something somewhere, or flip a bit."""
    start = chance.randint(0, len(raw))
    end = min(len(raw), start + chance.randint(0, 40))
    middle = chance.choice(
        (
            b"",
            raw[start:end] * 2,
            chance.choice(_TOKENS),
            bytes(chance.randrange(256) for _ in range(chance.randint(1, 6))),
            bytes([raw[start] ^ 1 << chance.randrange(8)]) + raw[start + 1 : end] if start < end else b"0",
        )
    )
    return raw[:start] + middle + raw[end:]


def _change_json(raw: bytes, chance: Random, depth: int) -> bytes | None:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict | list) or not document:
        return None
    for _ in range(chance.randint(1, 2)):
        document = _change_member(document, chance, depth)
    return json.dumps(document).encode()


def _change_member(document: Any, chance: Random, depth: int) -> Any:
    """Change one value somewhere in a JSON document."""
    if isinstance(document, dict | list) and document and chance.random() < 0.85:
        return _change_container(document, chance, depth)
    if isinstance(document, str) and document and chance.random() < 0.8:
        changed = mutate(document.encode(errors="surrogatepass"), chance, depth + 1)
        return changed.decode(errors="surrogateescape")
    if isinstance(document, int) and chance.random() < 0.5:
        return document + chance.choice((-1, 1, 2**63, -(2**63)))
    return chance.choice((*_VALUES, [document], {"a": document}))


def _change_container(document: Any, chance: Random, depth: int) -> Any:
    document = dict(document) if isinstance(document, dict) else list(document)
    places = list(document) if isinstance(document, dict) else list(range(len(document)))
    place, action = chance.choice(places), chance.random()
    if action < 0.75:
        document[place] = _change_member(document[place], chance, depth)
    elif action < 0.85:
        del document[place]
    elif isinstance(document, list):
        document.insert(chance.randint(0, len(document)), document[place])
    elif action < 0.95:
        document[place] = document[chance.choice(places)]
    else:
        name = mutate(str(place).encode(errors="surrogatepass"), chance, _DEEPEST)
        document[name.decode(errors="surrogateescape")] = document.pop(place)
    return document


def _change_pem(raw: bytes, chance: Random, depth: int) -> bytes | None:
    block = chance.choice(list(_PEM.finditer(raw)) or [None])
    if block is None:
        return None
    try:
        content = base64.b64decode(block[2])
    except binascii.Error:
        return None
    changed = base64.encodebytes(mutate(content, chance, depth + 1))
    label = block[1].strip()
    pem = b"-----BEGIN %s-----\n%s-----END %s-----\n" % (label, changed, label)
    return raw[: block.start()] + pem + raw[block.end() :]


def _change_base64(raw: bytes, chance: Random, depth: int) -> bytes | None:
    if not _BASE64.fullmatch(raw):
        return None
    try:
        return base64.b64encode(mutate(base64.b64decode(raw, validate=True), chance, depth + 1))
    except binascii.Error:
        return None


def _change_der(raw: bytes, chance: Random, depth: int) -> bytes | None:
    elements = _read_der(raw)
    if not elements or len(raw) < 4:
        return None
    return b"".join(tagged(tag, content) for tag, content in _change_elements(elements, chance, depth))


def _change_elements(elements: list[tuple[int, bytes]], chance: Random, depth: int) -> list[tuple[int, bytes]]:
    """Change one of the elements of a level, or go into it."""
    place, action = chance.randrange(len(elements)), chance.random()
    tag, content = elements[place]
    inner = _read_der(content) if tag & _CONSTRUCTED or tag == _OCTET_STRING else None
    if inner and depth < 2 * _DEEPEST and action < 0.85:
        changed = _change_elements(inner, chance, depth + 1)
        new = [(tag, b"".join(tagged(one, each) for one, each in changed))]
    elif action < 0.65:
        new = [(tag, _change_bytes(content, chance))]
    elif action < 0.75:
        new = [(chance.choice(_TAGS), content)]
    elif action < 0.85:
        new = []
    elif action < 0.95:
        new = [(tag, content)] * 2
    else:
        new = [elements[chance.randrange(len(elements))]]
    return [*elements[:place], *new, *elements[place + 1 :]]


def _read_der(raw: bytes) -> list[tuple[int, bytes]] | None:
    """Read a run of DER elements with tags of one byte; None for anything else."""
    elements, position = [], 0
    while position < len(raw):
        head = raw[position : position + 2]
        if len(head) < 2:
            return None
        tag, length = head
        position += 2
        if length >= _LONG_FORM:
            count = length - _LONG_FORM
            length = int.from_bytes(raw[position : position + count], "big")
            position += count
            if not 0 < count <= 4:
                return None
        if position + length > len(raw):
            return None
        elements.append((tag, raw[position : position + length]))
        position += length
    return elements
