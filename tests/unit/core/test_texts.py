from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bootpress.core.platforms.trust import trust_policy
from bootpress.core.texts import reject_unstorable_text


@pytest.mark.parametrize("value", ["\x00", "a\ud800", {"a": [{"b": "c\x00"}]}, {"\udc00": 1}, [["\x00"]]])
def test_what_no_database_stores_is_refused_wherever_it_lies(value: Any) -> None:
    with pytest.raises(ValueError, match="NUL character or half of a surrogate pair"):
        reject_unstorable_text(value)


@pytest.mark.parametrize("value", ["\\u0000", "é\n", {"a": ["b", 1, None]}, 7])
def test_everything_else_passes_as_it_is(value: Any) -> None:
    assert reject_unstorable_text(value) is value


def test_a_nul_within_a_trusted_root_is_refused() -> None:
    policy = {"mode": "keyless", "cosign_identity_regexp": ".", "cosign_issuer_regexp": "."}
    with pytest.raises(ValidationError, match="NUL"):
        trust_policy.validate_python(policy | {"trusted_root": {"tlogs": [{"baseUrl": "\x00"}]}})
