"""JSON documents of a known structure, read as every other reader reads them, or refused.

Registries, oras, containerd and cosign read member names as Go's encoding/json does: without regard to case, the last
one counting. A document with `layers` and `Layers` would have one list verified and another one pulled.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo

from bootpress.core import strict_json
from bootpress.core.errors import InvalidInput
from bootpress.core.texts import shown

_MAX_ERRORS = 1000
"""Pydantic can name every error or none; to name a hundred thousand takes longer than to read the document."""
_MAX_NAME = 60


class AmbiguousName(Exception):
    """A member name that another reader takes for `meant`, a known name or another member of the same object."""

    def __init__(self, stated: str, meant: str, *, is_known: bool) -> None:
        stated, meant_text = f"'{shown(stated, _MAX_NAME)}'", f"'{shown(meant, _MAX_NAME)}'"
        super().__init__(
            f"the name {stated} is another spelling of {meant_text}"
            if is_known
            else f"the names {meant_text} and {stated} are one to a reader that ignores case"
        )
        self.meant = meant


@dataclass(frozen=True, slots=True)
class _Names:
    known: frozenset[str]
    by_fold: Mapping[str, str]


class Document(BaseModel):
    """A JSON object whose members are the fields of the model, by their aliases; values are not converted.

    Further members are allowed. Refused are names that fold to a known name or to each other. Members of a field that
    is a `dict` are data, and may be of any spelling.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    reads_field_names: ClassVar[bool] = False
    """Whether other readers take a field's name beside its alias, as protobuf's JSON mapping does."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_ambiguous_names(cls, stated: Any) -> Any:
        if isinstance(stated, dict):
            try:
                check_names(cls, stated)
            except AmbiguousName as error:
                raise ValueError(str(error)) from error
        return stated

    @classmethod
    def read(cls, raw: bytes, *, what: str, max_marks: int = strict_json.MAX_MARKS) -> Self:
        """Read a JSON text; `what` names it in the reason of a refusal, which is InvalidInput."""
        return read_value(cls, strict_json.parse(raw, what=what, max_marks=max_marks), what=what)


DocumentModel = TypeVar("DocumentModel", bound=Document)


def read_value(model: type[DocumentModel], value: Any, *, what: str) -> DocumentModel:
    """Read a value that came out of a JSON text; InvalidInput says where it does not fit."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        if error.error_count() > _MAX_ERRORS:
            raise InvalidInput(f"{what} is malformed in {error.error_count()} places") from error
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{what} is malformed: {shown(place)}: {shown(message)}") from error


def check_names(model: type[BaseModel], stated: Mapping[str, Any]) -> None:
    """Refuse members of an object that another reader of the same structure takes for others; AmbiguousName."""
    names = _names(model)
    if stated.keys() <= names.known:
        return
    seen = dict[str, str]()
    for name in stated:
        if name in names.known:
            continue
        folded = fold(name)
        if folded in names.by_fold:
            raise AmbiguousName(name, names.by_fold[folded], is_known=True)
        if folded in seen:
            raise AmbiguousName(name, seen[folded], is_known=False)
        seen[folded] = name


def fold(name: str) -> str:
    """Return what is equal for names that are one to Go's encoding/json (its fold.go, simple case folding).

    U+017F folds to s and U+212A to k. Unicode's full folding, which this is, makes a few more names equal.
    """
    return name.casefold()


@functools.cache
def _names(model: type[BaseModel]) -> _Names:
    by_fold = defaultdict[str, set[str]](set)
    for field_name, field in model.model_fields.items():
        aliases = set(_aliases(field_name, field))
        for alias in aliases:
            by_fold[fold(alias)].add(alias)
        if getattr(model, "reads_field_names", False) and len(aliases) == 1:
            by_fold[fold(field_name.rstrip("_"))] |= aliases
    if ambiguous := [names for names in by_fold.values() if len(names) > 1]:
        raise TypeError(f"{model.__name__} has fields that fold to one another: {ambiguous}")
    known = {folded: next(iter(names)) for folded, names in by_fold.items()}
    return _Names(frozenset(known.values()), known)


def _aliases(field_name: str, field: FieldInfo) -> Iterator[str]:
    match field.validation_alias:
        case None:
            yield field_name
        case str() as alias:
            yield alias
        case AliasChoices() as choices:
            yield from (choice for choice in choices.choices if isinstance(choice, str))
