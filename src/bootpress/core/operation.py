"""Public operation: one definition, from which API, command line and console are made.

A domain's `operations.py` defines functions with `@operation`; `bootpress.core.operation_registry` lists them.
"""

from __future__ import annotations

import inspect
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar, cast, get_type_hints
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)
from pydantic.annotated_handlers import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from bootpress.core.context import Caller, Context
from bootpress.core.errors import Forbidden, NotFound
from bootpress.core.texts import reject_unstorable_text
from bootpress.core.validation_errors import invalid_input

MAX_LIMIT = 500
MAX_TEXT = 2048
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})
_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]", re.ASCII)


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text.strip()


def reject_control_characters(text: str) -> str:
    """Refuse what would steer a terminal or deceive who reads it: controls, line breaks, changes of direction."""
    if any(unicodedata.category(letter) in _UNSEEN for letter in text.strip()):
        raise ValueError("holds a character that cannot be seen, such as a line break")
    return text


def _refuse_seconds(value: object) -> object:
    # Pydantic reads numbers as seconds since 1970.
    if not isinstance(value, datetime) and not (isinstance(value, str) and _DATE.match(value)):
        raise ValueError("is no RFC 3339 time, such as 2026-01-31T12:00:00Z")
    return value


class _NotNull:
    """Refuses null where a default means that nothing was given, and says so in the schema."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._refuse, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        said: JsonSchemaValue
        (said,) = [member for member in handler(schema)["anyOf"] if member.get("type") != "null"]
        return said

    @staticmethod
    def _refuse(value: object) -> object:
        if value is None:
            raise ValueError("may be left away, but not be null")
        return value


T = TypeVar("T")
Text = Annotated[str, BeforeValidator(reject_unstorable_text), Field(min_length=1, max_length=MAX_TEXT)]
Title = Annotated[Text, AfterValidator(_not_blank)]
"""What people call something: no blanks around it, and not only blanks."""
Label = Annotated[Text, Field(max_length=200), AfterValidator(reject_control_characters)]
"""What a pipeline is called: it is shown in tables, logs and the names of runs."""
Whole = Annotated[int, Field(strict=True)]
"""A number that is written as one: JSON's true and "1" are not."""
Limit = Annotated[Whole, Field(ge=1, le=MAX_LIMIT)]
Unless = Annotated[T | None, _NotNull()]
"""A field that may be left away, where null would say nothing."""


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from error


When = Annotated[AwareDatetime, BeforeValidator(_refuse_seconds), AfterValidator(_in_utc)]
"""A moment that a caller gives."""
Moment = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]


class OperationRequest(BaseModel):
    """The fields of a call; unknown ones are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account_id: Annotated[UUID | None, Field(description="Optional; must be the token's own account")] = None


class OperationResponse(BaseModel):
    """The fields of an answer."""

    model_config = ConfigDict(frozen=True)


class PageRequest(OperationRequest):
    """Which page of a listing: at most how many rows, and behind which cursor."""

    limit: Limit = 50
    cursor: Text | None = None


class PageAnswer(OperationResponse):
    """A page of a listing; `next_cursor` is the cursor of the next page, or null where this is the last one."""

    next_cursor: str | None


Q = TypeVar("Q", bound=OperationRequest)
A = TypeVar("A", bound=OperationResponse)
Handler = Callable[[Context, Caller, Q], A]


@dataclass(frozen=True)
class Operation(Generic[Q, A]):
    """One public operation: its name, what it takes and gives, who may call it."""

    name: str
    summary: str
    permission: str
    changes: bool
    """False for one that only reads: it takes no Idempotency-Key."""
    request: type[Q]
    answer: type[A]
    handler: Handler[Q, A]
    secrets: tuple[str, ...]
    """Fields of the answer that are shown once and never kept."""
    asks_outside: bool
    """Whether the caller waits for a registry, a forge, a Docker host, or a flow that asks one."""

    def parse(self, fields: Mapping[str, Any]) -> Q:
        """Validate the fields of a call; InvalidInput names the first that is wrong, and what is accepted."""
        try:
            return self.request.model_validate(dict(fields))
        except ValidationError as error:
            raise invalid_input(self.request, error) from error

    def authorize(self, caller: Caller) -> None:
        """Raise Forbidden unless the caller has the permission."""
        if not caller.has_permission(self.permission):
            raise Forbidden(
                f"{self.name} needs the permission {self.permission}",
                hint="use a token that has it, or mint one with create_api_token",
            )

    def call(self, context: Context, caller: Caller, fields: Mapping[str, Any]) -> A:
        """Check the permission, the fields and the account, then run the use case."""
        self.authorize(caller)
        request = self.parse(fields)
        if request.account_id is not None and request.account_id != caller.account_id:
            raise NotFound(f"no account {request.account_id}", hint="leave account_id away: the token says it")
        return self.handler(context, caller, request)


def operation(
    *, permission: str, changes: bool = True, secrets: tuple[str, ...] = (), asks_outside: bool = False
) -> Callable[[Handler[Q, A]], Operation[Q, A]]:
    """Make an operation of a handler; its docstring is the summary, its annotations the models."""

    def make(handler: Handler[Q, A]) -> Operation[Q, A]:
        hints = get_type_hints(handler)
        request = next(hint for name, hint in hints.items() if name == "request")
        summary = inspect.getdoc(handler) or ""
        return Operation(
            name=handler.__name__,
            summary=summary,
            permission=permission,
            changes=changes,
            request=cast("type[Q]", request),
            answer=cast("type[A]", hints["return"]),
            handler=handler,
            secrets=secrets,
            asks_outside=asks_outside,
        )

    return make
