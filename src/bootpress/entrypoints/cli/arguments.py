"""Read `field=value` words into the fields of an operation, by its schema: pure but for the files they name."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bootpress.core.errors import InvalidInput
from bootpress.core.strict_json import parse

MAX_FILE = 1024 * 1024
MAX_DEPTH = 8
WORDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object: write name.inner=value, or name:=json",
}
Schema = Mapping[str, Any]


def read_fields(words: Sequence[str], schema: Schema | None) -> dict[str, Any]:
    """Return the fields that words spell.

    `a=text` is text, or JSON where the schema wants a number, a truth value, an object or a list (one text is a list
    of one, a repeat adds to it); `a=@file` is a file's content (`@-` is standard input), a secret without the line's
    end; `a:=json` is JSON whatever the schema says; `a.b=…` is within an object. Raises InvalidInput, which names the
    word's field.
    """
    fields: dict[str, Any] = {}
    for word in words:
        name, forced, text = _split(word)
        path = name.split(".")
        if len(path) > MAX_DEPTH or not all(path):
            raise InvalidInput(f"{name[:100]!r} is not a field", field=name)
        options = list(_at(schema, path)) if schema is not None else []
        if text.startswith("@") and not forced:
            text = _content(text[1:], name)
            # An editor ends every line, and `echo` does: the end of the line is no part of a token.
            if any(option.get("format") == "password" for option in options):
                text = text.rstrip("\r\n")
        _put(fields, path, _json(text, name) if forced else _value(text, options, name))
    return fields


def _split(word: str) -> tuple[str, bool, str]:
    name, found, text = word.partition("=")
    forced = name.endswith(":")
    name = name.removesuffix(":")
    if not found or not name:
        raise InvalidInput(f"{word[:100]!r} is not field=value", hint="for example limit=5, or trust:='{…}'")
    return name, forced, text


def _content(path: str, name: str) -> str:
    try:
        raw = sys.stdin.buffer.read(MAX_FILE + 1) if path == "-" else _start_of(Path(path))
        text = raw.decode()
    except OSError as error:
        raise InvalidInput(f"{name}: {path} cannot be read: {error.strerror or error}", field=name) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name}: {path} is not UTF-8 text", field=name) from error
    if len(raw) > MAX_FILE:
        raise InvalidInput(f"{name}: {path} is larger than 1 MiB", field=name)
    return text


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_FILE + 1)


def _value(text: str, options: Sequence[Schema], name: str) -> Any:
    types = {option.get("type") for option in options} - {"null"}
    if "array" in types:
        return _json(text, name) if text.lstrip().startswith("[") else [text]
    if "object" in types and text.lstrip().startswith("{"):
        return _json(text, name)
    # A field that the schema does not know goes as text: the server says what it accepts.
    if not types or "string" in types:
        return text
    try:
        return _json(text, name)
    except InvalidInput as error:
        wanted = " or ".join(sorted(WORDS.get(str(one), str(one)) for one in types))
        raise InvalidInput(f"{name}: {text[:100]!r} is not {wanted}", field=name) from error


def _json(text: str, name: str) -> Any:
    # As strictly as the server: what is dropped here, a member that is there twice, the server cannot refuse.
    try:
        return parse(text.encode(), what=f"{text[:100]!r}")
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{name}: {text[:100]!r} is not JSON", field=name) from error
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}", field=name) from error


def _put(fields: dict[str, Any], path: Sequence[str], value: Any) -> None:
    place = fields
    for part in path[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise InvalidInput(f"{'.'.join(path)}: {part} has a value already", field=part)
    last = path[-1]
    if isinstance(place.get(last), list) and isinstance(value, list):
        place[last] += value
    elif last in place:
        raise InvalidInput(f"{'.'.join(path)} is given twice", field=last)
    else:
        place[last] = value


def _at(schema: Schema, path: Sequence[str]) -> Iterator[Schema]:
    """Yield the alternatives that a schema has at a path."""
    places: list[Schema] = [schema]
    for part in path:
        places = [
            option["properties"][part]
            for place in places
            for option in _options(place, schema)
            if part in option.get("properties", {})
        ]
    for place in places:
        yield from _options(place, schema)


def _options(place: Schema, root: Schema) -> Iterator[Schema]:
    if "$ref" in place:
        yield from _options(root["$defs"][place["$ref"].rpartition("/")[2]], root)
        return
    nested = [*place.get("anyOf", ()), *place.get("oneOf", ())]
    if not nested:
        yield place
    for option in nested:
        yield from _options(option, root)


def fields(schema: Schema) -> list[dict[str, Any]]:
    """Say of each field, and of each one within it, what it takes, when it is needed, and its default."""
    return list(_fields(schema, schema, "", ""))


def _fields(place: Schema, root: Schema, prefix: str, condition: str) -> Iterator[dict[str, Any]]:
    required = place.get("required", ())
    for name, said in place["properties"].items():
        if "const" in said and prefix:
            continue  # it tells the alternatives apart, and was listed before them
        needed = condition or "yes" if name in required else "no"
        default = said.get("default")
        about = said.get("description")
        yield {"name": prefix + name, "kind": _kind(said, root), "needed": needed, "default": default, "about": about}
        tag = said.get("discriminator", {}).get("propertyName")
        if tag:
            choices = "|".join(said["discriminator"]["mapping"])
            yield {"name": f"{prefix}{name}.{tag}", "kind": choices, "needed": needed, "default": None}
        for option in _options(said, root):
            if "properties" in option:
                when = f"with {tag}={option['properties'][tag]['const']}" if tag else condition
                yield from _fields(option, root, f"{prefix}{name}.", when)


def _kind(place: Schema, root: Schema) -> str:
    """Say in a few words what a field takes."""
    said = []
    for option in _options(place, root):
        choices = option.get("enum") or ([option["const"]] if "const" in option else [])
        what = "|".join(map(str, choices)) or str(option.get("format") or option.get("type", "anything"))
        said.append(f"list of {_kind(option['items'], root)}" if what == "array" and "items" in option else what)
    return " or ".join(dict.fromkeys(one for one in said if one != "null"))
