"""Who signed is read from one name and one issuer, and must match the policy from the first character to the last.

Whole signatures by whom the policy does not name are in tests/adversarial/adversary/identities.py.
"""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from bootpress.adapters.cosign.identities import CertificateIdentity, Expression, IdentityRule, check_leaf, read_claims
from bootpress.core.errors import SignatureRejected
from tests.support.sigstore_services import HONEST, IDENTITY, ISSUER, Lies, Services, named
from tests.support.sigstore_services.encoding import utf8_string

SERVICES = Services()
WORKFLOW = r"https://forge\.example/os/images/\.gitea/workflows/build\.yml@refs/(heads/main|tags/v.*)"


def rule(identity: str = WORKFLOW, issuer: str = r"https://forge\.example") -> IdentityRule:
    return IdentityRule(Expression(identity, field="identity"), Expression(issuer, field="issuer"))


def certificate(lies: Lies = HONEST) -> x509.Certificate:
    return SERVICES.issue(lies).certificate


def test_identity_and_issuer_are_read() -> None:
    assert rule().check(certificate()) == CertificateIdentity(IDENTITY, ISSUER)


def test_a_mail_address_is_an_identity() -> None:
    leaf = certificate(Lies(names=[x509.RFC822Name("ci@forge.example")]))
    assert rule(r"ci@forge\.example").check(leaf).identity == "ci@forge.example"


@pytest.mark.parametrize("raw", [ISSUER.encode(), None])
@pytest.mark.parametrize("der", [utf8_string(ISSUER), None])
def test_either_issuer_extension_will_do(raw: bytes | None, der: bytes | None) -> None:
    leaf = certificate(Lies(issuer_raw=raw, issuer_der=der))
    if raw is None and der is None:
        with pytest.raises(SignatureRejected, match="names no issuer"):
            read_claims(leaf)
    else:
        assert read_claims(leaf).issuer == ISSUER


@pytest.mark.parametrize(
    ("lies", "reason"), [(Lies(names=[]), "names 0 identities"), (named(""), "not a printable name")]
)
def test_anything_but_one_uri_or_mail_address_is_rejected(lies: Lies, reason: str) -> None:
    with pytest.raises(SignatureRejected, match=reason):
        rule(".*").check(certificate(lies))


ISSUERS: dict[str, tuple[bytes | None, bytes | None]] = {
    "raw in DER": (utf8_string(ISSUER), utf8_string(ISSUER)),
    "DER in raw": (ISSUER.encode(), ISSUER.encode()),
    "DER cut": (None, utf8_string(ISSUER)[:-1]),
    "an integer": (None, b"\x02\x01\x01"),
    "a longer form of length": (None, b"\x0c\x81" + utf8_string(ISSUER)[1:]),
    "not UTF-8": (b"https://\xff", None),
    "DER not UTF-8": (None, b"\x0c\x01\xff"),
    "empty": (b"", None),
    "both empty": (b"", utf8_string("")),
    "a zero byte behind": (ISSUER.encode() + b"\0", None),
}


@pytest.mark.parametrize("case", sorted(ISSUERS))
def test_an_issuer_that_is_not_one_plain_text_is_rejected(case: str) -> None:
    raw, der = ISSUERS[case]
    with pytest.raises(SignatureRejected):
        rule(".*", "(?s).*").check(certificate(Lies(issuer_raw=raw, issuer_der=der)))


@pytest.mark.parametrize("suffix", ["\r\n", "\t", "\x7f", " \n "])
def test_an_identity_with_control_characters_is_rejected_by_any_policy(suffix: str) -> None:
    with pytest.raises(SignatureRejected, match="not a printable name"):
        rule("(?s).*").check(certificate(named(IDENTITY + suffix)))


def test_a_refusal_says_who_signed_and_whom_the_policy_names() -> None:
    with pytest.raises(SignatureRejected, match=f"signed by another identity: '{IDENTITY}2'") as caught:
        rule().check(certificate(named(IDENTITY + "2")))
    assert caught.value.hint is not None
    assert WORKFLOW in caught.value.hint


@pytest.mark.parametrize("expression", ["a|b", "^a$|^b$", "a$|b", "(?i)A|B", "(?m)^b$"])
def test_an_expression_means_the_whole_value_however_it_is_written(expression: str) -> None:
    compiled = Expression(expression, field="identity")
    assert compiled.matches("b")
    for value in ("b\n", "\nb", "ab", "xb", "bx", "b\nb", ""):
        assert not compiled.matches(value)


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_literal_matches_itself_and_nothing_around_it(literal: str, more: str) -> None:
    compiled = Expression(r"\Q" + literal.replace(r"\E", "") + r"\E", field="identity")
    value = literal.replace(r"\E", "")
    assert compiled.matches(value)
    assert compiled.matches(value + more) == (more == "")


def test_an_expression_of_an_attackers_taste_takes_no_time() -> None:
    assert not Expression("(a|a)*(a|aa)+b" * 20, field="identity").matches("a" * 100_000)


def test_a_certificate_as_fulcio_issues_it_passes() -> None:
    check_leaf(certificate())
    check_leaf(certificate(Lies(is_authority=False)))
