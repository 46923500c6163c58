"""Read what outsiders wrote: strict JSON, base64 and PEM, and text that is safe to show.

Everything here raises SignatureRejected: what cannot be read is no signature.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from bootpress.core import strict_json
from bootpress.core.documents import Document, DocumentModel
from bootpress.core.errors import InvalidInput, SignatureRejected
from bootpress.core.texts import shown

_PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----[A-Za-z0-9+/=\r\n]*-----END \1-----", re.ASCII)
_MAX_SHOWN = 200
_MAX_REASON = 600


class StrictModel(Document):
    """A JSON object with exactly these members, of exactly these types: nothing is converted, nothing is extra."""

    model_config = ConfigDict(extra="forbid")


def _check_base64(text: str) -> str:
    if base64.b64encode(base64.b64decode(text, validate=True)).decode() != text:
        raise ValueError("not base64 as every reader reads it")
    return text


def _check_int64(text: str) -> str:
    if int(text) >= 2**63:
        raise ValueError("larger than 64 bits with a sign")
    return text


Base64 = Annotated[str, AfterValidator(_check_base64)]
"""Bytes in protobuf's JSON mapping. Other readers skip what is no base64, or take its other alphabet."""
Int64 = Annotated[str, Field(pattern=r"\A(0|[1-9][0-9]{0,18})\z"), AfterValidator(_check_int64)]
"""A number of 0 or more in protobuf's JSON mapping. Python reads ` 1`, `+1` and `1_0` too, Go `1.0` and `1e1`."""


def read(model: type[DocumentModel], raw: bytes, *, what: str, max_marks: int = strict_json.MAX_MARKS) -> DocumentModel:
    """Read a JSON document into a model; `what` names it in the reason of a refusal."""
    try:
        return model.read(raw, what=what, max_marks=max_marks)
    except InvalidInput as error:
        raise SignatureRejected(shown(error.message, _MAX_REASON)) from error


def decode_base64(text: str, *, what: str) -> bytes:
    """Decode standard base64 (RFC 4648, section 4) that holds nothing else and is not empty."""
    try:
        decoded = base64.b64decode(_check_base64(text))
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


def error_summary(error: BaseException, limit: int = _MAX_SHOWN) -> str:
    """Say in one line what a library's error says, or of which class it is when it says nothing."""
    return shown(" ".join(str(error).split()) or type(error).__name__, limit)


def quoted(text: str, limit: int = _MAX_SHOWN) -> str:
    """Make an outsider's text safe to show, and put it between quotation marks."""
    return f"'{shown(text, limit)}'"
