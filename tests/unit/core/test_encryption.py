"""Secrets at rest: several keys, and none of them in an error."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import CatalogUnavailable

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@given(st.text(max_size=50))
def test_what_was_sealed_with_any_of_the_keys_is_opened(text: str) -> None:
    box = SecretCipher([NEW, OLD])
    assert box.decrypt(SecretCipher([OLD]).encrypt(text)) == text
    assert SecretCipher([NEW]).decrypt(box.encrypt(text)) == text
    assert box.encrypt(text) != box.encrypt(text)


class CountingFernet(Fernet):
    """Counts how often it is tried."""

    tried = 0

    def decrypt(self, token: bytes | str, ttl: int | None = None) -> bytes:
        self.tried += 1
        return super().decrypt(token, ttl)


@pytest.mark.parametrize("key", [NEW, OLD], ids=["new", "old"])
def test_every_key_is_tried_whichever_fits(key: str) -> None:
    box = SecretCipher([NEW, OLD])
    fernets = [CountingFernet(NEW), CountingFernet(OLD)]
    box._fernets = list(fernets)
    assert box.decrypt(SecretCipher([key]).encrypt("hunter2")) == "hunter2"
    assert [fernet.tried for fernet in fernets] == [1, 1]


@pytest.mark.parametrize(
    "sealed", [b"", b"garbage", SecretCipher([OLD]).encrypt("hunter2")], ids=["empty", "garbage", "of another key"]
)
def test_what_no_key_opens_is_an_outage(sealed: bytes) -> None:
    with pytest.raises(CatalogUnavailable, match="cannot be decrypted") as caught:
        SecretCipher([NEW]).decrypt(sealed)
    assert NEW not in repr(caught.value)


def test_a_mark_is_one_of_those_of_the_same_content_after_a_new_key_too_and_of_no_other_installation() -> None:
    before = SecretCipher([OLD]).fingerprints(b"content")[0]
    assert before in SecretCipher([NEW, OLD]).fingerprints(b"content")
    assert before != SecretCipher([NEW, OLD]).fingerprints(b"content")[0]
    assert before not in SecretCipher([NEW, OLD]).fingerprints(b"other")
    assert before not in SecretCipher([NEW]).fingerprints(b"content")
