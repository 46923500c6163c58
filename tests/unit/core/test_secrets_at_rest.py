"""Secrets at rest: several keys, and none of them in an error."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.errors import CatalogUnavailable
from bootpress.core.secrets_at_rest import SecretBox

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@given(st.text(max_size=50))
def test_what_was_sealed_with_any_of_the_keys_is_opened(text: str) -> None:
    box = SecretBox([NEW, OLD])
    assert box.open(SecretBox([OLD]).seal(text)) == text
    assert SecretBox([NEW]).open(box.seal(text)) == text
    assert box.seal(text) != box.seal(text)


class CountingFernet(Fernet):
    """Counts how often it is tried."""

    tried = 0

    def decrypt(self, token: bytes | str, ttl: int | None = None) -> bytes:
        self.tried += 1
        return super().decrypt(token, ttl)


@pytest.mark.parametrize("key", [NEW, OLD], ids=["new", "old"])
def test_every_key_is_tried_whichever_fits(key: str) -> None:
    box = SecretBox([NEW, OLD])
    fernets = [CountingFernet(NEW), CountingFernet(OLD)]
    box._fernets = list(fernets)
    assert box.open(SecretBox([key]).seal("hunter2")) == "hunter2"
    assert [fernet.tried for fernet in fernets] == [1, 1]


@pytest.mark.parametrize(
    "sealed", [b"", b"garbage", SecretBox([OLD]).seal("hunter2")], ids=["empty", "garbage", "of another key"]
)
def test_what_no_key_opens_is_an_outage(sealed: bytes) -> None:
    with pytest.raises(CatalogUnavailable, match="cannot be decrypted") as caught:
        SecretBox([NEW]).open(sealed)
    assert NEW not in repr(caught.value)


def test_a_mark_is_one_of_those_of_the_same_content_after_a_new_key_too_and_of_no_other_installation() -> None:
    before = SecretBox([OLD]).marks(b"content")[0]
    assert before in SecretBox([NEW, OLD]).marks(b"content")
    assert before != SecretBox([NEW, OLD]).marks(b"content")[0]
    assert before not in SecretBox([NEW, OLD]).marks(b"other")
    assert before not in SecretBox([NEW]).marks(b"content")
