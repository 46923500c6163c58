"""What a delivery's body says: pure (docs/reference/contract.md#webhook)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bootpress.core.documents import AmbiguousName, check_names
from bootpress.core.errors import InvalidInput
from bootpress.core.operation import Text, Whole
from bootpress.core.references import MAX_REFERENCE, parse_digest, parse_reference
from bootpress.core.strict_json import parse_object
from bootpress.core.validation_errors import invalid_input

MAX_BODY = 64 * 1024
MAX_IMAGE_BYTES = 2**50
T = TypeVar("T")


def _as_text(value: object) -> object:
    # Forges send run ids as numbers, scripts as text.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Identifier = Annotated[Text, BeforeValidator(_as_text)]


class DeliveryPayload(BaseModel):
    """The fields of a delivery that we know; all but the first two are optional claims, unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    platform_slug: Annotated[Text, Field(validation_alias=AliasChoices("platform_slug", "platform_name"))]
    oci_ref: Annotated[Text, Field(max_length=MAX_REFERENCE)]
    oci_digest: Text | None = None
    git_sha: Text | None = None
    sha256: Text | None = None
    size_bytes: Annotated[Whole, Field(ge=0, le=MAX_IMAGE_BYTES)] | None = None
    arch: Text | None = None
    run_id: Identifier | None = None
    dispatch_id: Identifier | None = None
    sbom_path: Text | None = None
    sbom_digest: Text | None = None
    firmware_ref: Text | None = None

    @property
    def digest(self) -> str | None:
        """Return the digest that is announced, in whichever field; None if there is only a tag."""
        return self.oci_digest or parse_reference(self.oci_ref, default_host="localhost").digest

    @property
    def manifest_sha256(self) -> str | None:
        """Return the claimed hex SHA-256 of the manifest, with or without its prefix in the body, in lower case."""
        return self.sha256.lower().removeprefix("sha256:") if self.sha256 else None

    @property
    def claims(self) -> dict[str, Any]:
        """Return what was claimed besides, as it was claimed."""
        return self.model_dump(mode="json", exclude={"platform_slug", "oci_ref"}, exclude_none=True)


def read_announcement(body: bytes) -> DeliveryPayload:
    """Read a delivery's body.

    Raises InvalidInput: without a `field` when it is not a JSON object, with one when a field is missing, wrong or
    there in another spelling, a reference cannot be read, or `oci_digest` contradicts the digest in `oci_ref`.
    """
    fields = _without_empty(parse_object(body, what="the body"))
    try:
        check_names(DeliveryPayload, fields)
        announcement = DeliveryPayload.model_validate(fields)
    except AmbiguousName as error:
        raise InvalidInput(f"field {error.meant}: {error}", field=error.meant) from error
    except ValidationError as error:
        raise invalid_input(DeliveryPayload, error) from error
    _check_reference(announcement)
    return announcement


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    # A script sends "" or null where its variable was empty: the same as leaving the field away.
    return {name: value for name, value in fields.items() if value not in ("", None)}


def _check_reference(announcement: DeliveryPayload) -> None:
    in_reference = _within("oci_ref", lambda: parse_reference(announcement.oci_ref, default_host="localhost")).digest
    if announcement.oci_digest is None:
        return
    digest = _within("oci_digest", lambda: parse_digest(str(announcement.oci_digest)))
    if in_reference is not None and in_reference != digest:
        raise InvalidInput(f"oci_digest is {digest}, but oci_ref names {in_reference}", field="oci_digest")


def _within(field: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except InvalidInput as error:
        raise InvalidInput(f"field {field}: {error.message}", hint=error.hint, field=field) from error
