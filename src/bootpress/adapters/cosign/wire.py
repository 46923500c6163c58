"""Read what outsiders wrote: strict JSON, base64 and PEM, and text that is safe to show.

Everything here raises SignatureRejected: what cannot be read is no signature.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bootpress.core import strict_json
from bootpress.core.errors import InvalidInput, SignatureRejected

_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----[A-Za-z0-9+/=\r\n]*-----END \1-----", re.ASCII)
_MAX_SHOWN = 200
_MAX_ERRORS = 1000
"""Pydantic can name every error or none; to name a hundred thousand takes longer than to read the document."""


class Wire(BaseModel):
    """A JSON object with exactly these members, of exactly these types: nothing is converted, nothing is extra."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


WireModel = TypeVar("WireModel", bound=BaseModel)


def read(model: type[WireModel], raw: bytes, *, what: str, max_marks: int = strict_json.MAX_MARKS) -> WireModel:
    """Read a JSON document into a model; `what` names it in the reason of a refusal."""
    try:
        return model.model_validate(strict_json.parse(raw, what=what, max_marks=max_marks))
    except InvalidInput as error:
        raise SignatureRejected(shown(error.message)) from error
    except ValidationError as error:
        if error.error_count() > _MAX_ERRORS:
            raise SignatureRejected(f"{what} is malformed in {error.error_count()} places") from error
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise SignatureRejected(f"{what} is malformed: {shown(place)}: {shown(first['msg'])}") from error


def decode_base64(text: str, *, what: str) -> bytes:
    """Decode standard base64 (RFC 4648, section 4) that holds nothing else and is not empty."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureRejected(f"{what} is not base64") from error
    if not decoded:
        raise SignatureRejected(f"{what} is empty")
    return decoded


def find_pem_labels(text: str) -> list[str] | None:
    """List the labels of the PEM blocks (RFC 7468) in a text; None if anything but blank space is around them."""
    if _PEM_BLOCK.sub("", text).strip():
        return None
    return _PEM_BLOCK.findall(text)


def shown(text: str, limit: int = _MAX_SHOWN) -> str:
    """Make an outsider's text safe for a log or a page: printable characters only, at most `limit` of them."""
    cut = text[:limit]
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in cut)
    return printable + "…" if len(text) > limit else printable


def told(error: BaseException, limit: int = _MAX_SHOWN) -> str:
    """Say in one line what a library's error says, or of which class it is when it says nothing."""
    return shown(" ".join(str(error).split()) or type(error).__name__, limit)


def quoted(text: str, limit: int = _MAX_SHOWN) -> str:
    """Make an outsider's text safe to show, and put it between quotation marks."""
    return f"'{shown(text, limit)}'"
