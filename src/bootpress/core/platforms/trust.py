"""A platform's trust policy, exactly one of two modes (docs/reference/contract.md#trust)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from bootpress.core.texts import reject_unstorable_text

MAX_EXPRESSION = 2048
MAX_KEYS = 16
MAX_PEM = 8192

Expression = Annotated[str, BeforeValidator(reject_unstorable_text), Field(min_length=1, max_length=MAX_EXPRESSION)]
Pem = Annotated[str, BeforeValidator(reject_unstorable_text), Field(min_length=1, max_length=MAX_PEM)]
TrustedRoot = Annotated[dict[str, Any], BeforeValidator(reject_unstorable_text)]


class KeylessTrust(BaseModel):
    """Trust certificates whose identity and issuer match two RE2 expressions, as a whole, under a trusted root."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["keyless"]
    cosign_identity_regexp: Expression
    cosign_issuer_regexp: Expression
    trusted_root: Literal["public-good"] | TrustedRoot = "public-good"


class KeysTrust(BaseModel):
    """Trust any of these public keys (PEM, SubjectPublicKeyInfo); several, so that rotation overlaps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["keys"]
    public_keys: Annotated[tuple[Pem, ...], Field(min_length=1, max_length=MAX_KEYS)]


TrustPolicy = Annotated[KeylessTrust | KeysTrust, Field(discriminator="mode")]
trust_policy: TypeAdapter[KeylessTrust | KeysTrust] = TypeAdapter(TrustPolicy)
