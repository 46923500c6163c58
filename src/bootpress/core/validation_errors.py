"""What a caller is told about a field that is wrong: its name as he wrote it, and what is accepted at that place."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from bootpress.core.errors import InvalidInput

Schema = Mapping[str, Any]
_MAX_NAME = 100
_PYDANTICS = re.compile(r"^(?:Value error, |(?:Input|String|List) (?=should ))")
"""What pydantic calls a field, whose name is said before."""


def invalid_input(model: type[BaseModel], error: ValidationError) -> InvalidInput:
    """Return the first thing that is wrong with the fields of a model, a misspelt field before all."""
    errors = error.errors(include_url=False)
    # A misspelt field is missing too: the spelling is what the caller wants to know.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    kind = first["type"]
    path, accepted = _place(_schema(model), first["loc"], tag=kind.startswith("union_tag_"))
    hint = f"accepted: {', '.join(sorted(accepted))}" if accepted else None
    if kind == "extra_forbidden":
        return InvalidInput(f"unknown field {path}", hint=hint, field=path)
    if kind in {"missing", "union_tag_not_found"}:
        return InvalidInput(f"field {path} is missing", hint=hint, field=path)
    if kind == "union_tag_invalid":
        return InvalidInput(f"field {path}: {str(first['ctx']['tag'])[:100]!r} is unknown", hint=hint, field=path)
    message = _PYDANTICS.sub("", first["msg"])
    if kind in {"model_type", "dict_type"}:
        message = "should be an object"
    if kind == "uuid_parsing":
        message = "should be an id as lists show it, a UUID"
    if kind in {"too_short", "too_long"}:
        message = _length(first["ctx"], "character" if isinstance(first["input"], str) else "item")
    return InvalidInput(f"field {path or 'the request'}: {message}", field=path or None)


def _length(context: Mapping[str, Any], unit: str) -> str:
    if "min_length" in context:
        count, bound = context["min_length"], "at least"
    else:
        count, bound = context["max_length"], "at most"
    return f"should have {bound} {count} {unit}{'' if count == 1 else 's'}"


def _shown(name: str) -> str:
    """Make a name that the caller may have invented safe for a log and a terminal: printable, and not too long."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name[:_MAX_NAME])


@functools.cache
def _schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def _place(root: Schema, loc: Iterable[str | int], *, tag: bool) -> tuple[str, list[str]]:
    """Return a location as the caller spells it, and the names that are accepted there.

    Pydantic's locations also say which member of a union was tried; no caller ever wrote that. With `tag` the location
    is that of a union, and what is meant is the field that tells its members apart.
    """
    spelled: list[str] = []
    accepted: list[str] = []
    place = root
    for part in loc:
        if "discriminator" in place:
            place = _resolve({"$ref": place["discriminator"]["mapping"].get(part, "")}, root)
        elif "properties" in place:
            spelled.append(_shown(str(part)))
            accepted = list(place["properties"])
            place = _resolve(place["properties"].get(part, {}), root)
        elif isinstance(part, int):
            spelled.append(str(part))
            place = _resolve(place.get("items", {}), root)
    if tag:
        spelled.append(place["discriminator"]["propertyName"])
        accepted = list(place["discriminator"]["mapping"])
    return ".".join(spelled), accepted


def _resolve(place: Schema, root: Schema) -> Schema:
    """Follow references, and the one member of a union with null."""
    while True:
        members = [one for one in place.get("anyOf", ()) if one.get("type") != "null"]
        if len(members) == 1:
            place = members[0]
        elif "$ref" in place:
            place = root.get("$defs", {}).get(place["$ref"].rpartition("/")[2], {})
        else:
            return place
