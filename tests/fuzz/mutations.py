"""Change bytes in ways that fit what they hold: JSON, DER (X.690), PEM and base64, each inside the other.

One random source decides everything, so Hypothesis and atheris can both drive it and repeat what it did.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any

from tests.support.sigstore_services.encoding import tagged

_DEEPEST = 8
_CONSTRUCTED = 0x20
_OCTET_STRING = 0x04
_LONG_FORM = 0x80
_TAGS = bytes.fromhex("0102030405060a0c1316171830318082 86a0a3")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{8,}={0,2}")
_BASE64_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_FOLDED = {"s": "sS\N{LATIN SMALL LETTER LONG S}", "k": "kK\N{KELVIN SIGN}"}
_NUMBER = re.compile(r"-?[0-9]{1,30}", re.ASCII)
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


def change(raw: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    """Return bytes changed by chance, or with a part of another input in the place of their own."""
    grafted = _graft(raw, chance.choice(others), chance) if others and chance.random() < 0.2 else None
    return mutate(raw, chance) if grafted is None else grafted


def _graft(raw: bytes, other: bytes, chance: Random) -> bytes | None:
    """Take a few values of another JSON document into the same places of this one."""
    document, donor = _read_json(raw), _read_json(other)
    for _ in range(chance.randint(1, 4)):
        shared = list(_shared_places(document, donor))
        if not shared:
            return None
        holder, place, value = chance.choice(shared)
        holder[place] = value
    return json.dumps(document).encode()


def _shared_places(document: Any, donor: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield every member that both documents have at the same place: what holds it, its name, the donor's value."""
    pairs = [(document, donor)]
    while pairs:
        mine, theirs = pairs.pop()
        if isinstance(mine, dict) and isinstance(theirs, dict):
            places: Iterable[Any] = mine.keys() & theirs.keys()
        elif isinstance(mine, list) and isinstance(theirs, list):
            places = range(min(len(mine), len(theirs)))
        else:
            continue
        for place in sorted(places):
            yield mine, place, theirs[place]
            pairs.append((mine[place], theirs[place]))


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
    """Change one value or two, each anywhere in a JSON document."""
    document = _read_json(raw)
    if not document:
        return None
    for _ in range(chance.randint(1, 2)):
        places = list(_places(document))
        if places:
            _change_place(*chance.choice(places), chance, depth)
    return json.dumps(document).encode()


def _read_json(raw: bytes) -> dict[Any, Any] | list[Any] | None:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict | list) else None


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every member of every object and list, as what holds it and its name or position there."""
    holders = [document]
    while holders:
        holder = holders.pop()
        for place in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, place
            if isinstance(holder[place], dict | list):
                holders.append(holder[place])


def _change_place(holder: Any, place: Any, chance: Random, depth: int) -> None:
    """Change a member in place, or what stands beside it."""
    action = chance.random()
    if action < 0.7:
        holder[place] = _change_value(holder[place], chance, depth)
    elif action < 0.8:
        del holder[place]
    elif isinstance(holder, list):
        holder.insert(chance.randint(0, len(holder)), _copy(holder[place]))
    elif action < 0.9:
        holder[place] = _copy(holder[chance.choice(list(holder))])
    elif action < 0.95:
        again = chance.choice((_Again(place), _refold(str(place), chance)))
        holder[again] = _copy(chance.choice((holder[place], *_VALUES)))
    else:
        snake = re.sub(r"(?=[A-Z])", "_", str(place)).lower()  # as protobuf's own names are written
        name = mutate(str(place).encode(errors="surrogatepass"), chance, _DEEPEST).decode(errors="surrogateescape")
        holder[chance.choice((snake, name, _refold(str(place), chance)))] = holder.pop(place)


def _refold(name: str, chance: Random) -> str:
    """Write a name in other letters that are the same to Go's encoding/json."""
    return "".join(chance.choice(_FOLDED.get(each.lower(), each.lower() + each.upper())) for each in name)


class _Again(str):
    """A name that stands in an object a second time."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def _change_value(value: Any, chance: Random, depth: int) -> Any:
    if isinstance(value, str) and value and chance.random() < 0.85:
        if chance.random() < 0.25:
            return _respell(value, chance)
        changed = mutate(value.encode(errors="surrogatepass"), chance, depth + 1)
        return changed.decode(errors=chance.choice(("replace", "replace", "surrogateescape")))
    if isinstance(value, int) and chance.random() < 0.5:
        return chance.choice((value - 1, value + 1, value + 2**63, value - 2**63, float(value % 2**53), str(value)))
    return _copy(chance.choice((*_VALUES, [value], {"a": value})))


def _copy(value: Any) -> Any:
    """Return a value that shares nothing: what is in a document twice would change in both places."""
    return json.loads(json.dumps(value))


def _respell(text: str, chance: Random) -> Any:
    """Write a number, base64 or any text in another way, which a strict reader refuses and a lax one takes as equal."""
    if _NUMBER.fullmatch(text):
        wide = text.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
        return chance.choice(
            (
                *(int(text), f"0{text}", f"+{text}", f"-{text}", f" {text}", f"{text}.0", f"{text}e0", f"{text}_0"),
                *(wide, str(int(text) - 1), str(int(text) + 1)),
            )
        )
    if _BASE64.fullmatch(text.encode(errors="surrogatepass")):
        bare = text.rstrip("=")
        last = _BASE64_DIGITS[_BASE64_DIGITS.index(bare[-1]) ^ chance.choice((1, 2, 4, 8))]
        url = text.translate(str.maketrans("+/", "-_"))
        cut = chance.randrange(len(text))
        return chance.choice(
            (
                *(url, bare, f"{text}=", f"{text}==", f" {text}", text * 2, list(text[:9])),
                *(f"{text[:cut]}\n{text[cut:]}", f"{text[:cut]}={text[cut:]}", bare[:-1] + last + text[len(bare) :]),
            )
        )
    return chance.choice((text.upper(), text.lower(), f"{text} ", f"\ufeff{text}", text * 2, [text], list(text[:9])))


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
