"""Who signed is read from one name and one issuer, and must match the policy from the first character to the last."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from bootpress.adapters.cosign.identities import Claims, Expression, IdentityRule, check_leaf, read_claims
from bootpress.core.errors import SignatureRejected
from tests.unit.adapters.cosign.certificates import (
    IDENTITY,
    ISSUER,
    OTHER_NAME,
    certificate,
    der_string,
    key_usage,
)

URI = x509.UniformResourceIdentifier
WORKFLOW = r"https://gitea\.example/os/images/\.gitea/workflows/build-disk-image\.yml@refs/(heads/main|tags/v.*)"


def rule(identity: str = WORKFLOW, issuer: str = r"https://gitea\.example") -> IdentityRule:
    return IdentityRule(Expression(identity, field="identity"), Expression(issuer, field="issuer"))


def test_identity_and_issuer_are_read() -> None:
    assert rule().check(certificate()) == Claims(IDENTITY, ISSUER)


def test_a_mail_address_is_an_identity() -> None:
    leaf = certificate(names=[x509.RFC822Name("ci@gitea.example")])
    assert rule(r"ci@gitea\.example").check(leaf).identity == "ci@gitea.example"


@pytest.mark.parametrize("raw", [ISSUER.encode(), None])
@pytest.mark.parametrize("der", [der_string(ISSUER), None])
def test_either_issuer_extension_will_do(raw: bytes | None, der: bytes | None) -> None:
    leaf = certificate(issuer_raw=raw, issuer_der=der)
    if raw is None and der is None:
        with pytest.raises(SignatureRejected, match="names no issuer"):
            read_claims(leaf)
    else:
        assert read_claims(leaf).issuer == ISSUER


NAMES: dict[str, tuple[list[x509.GeneralName], str]] = {
    "none": ([], "names 0 identities"),
    "two": ([URI(IDENTITY), URI(IDENTITY + "2")], "names 2 identities"),
    "the same twice": ([URI(IDENTITY)] * 2, "names 2 identities"),
    "a good one and a mail address": ([URI(IDENTITY), x509.RFC822Name("a@b.example")], "names 2 identities"),
    "a host": ([x509.DNSName("gitea.example")], "neither a URI nor a mail address"),
    "a user name": ([OTHER_NAME], "neither a URI nor a mail address"),
    "a good one and a user name": ([URI(IDENTITY), OTHER_NAME], "names 2 identities"),
    "an empty one": ([URI("")], "not a printable name"),
}


@pytest.mark.parametrize("case", sorted(NAMES))
def test_anything_but_one_uri_or_mail_address_is_rejected(case: str) -> None:
    names, reason = NAMES[case]
    with pytest.raises(SignatureRejected, match=reason):
        rule(".*").check(certificate(names=names))


ISSUERS: dict[str, tuple[bytes | None, bytes | None]] = {
    "disagree": (b"https://gitea.example", der_string("https://mallory.example")),
    "disagree by a slash": (b"https://gitea.example", der_string("https://gitea.example/")),
    "raw in DER": (der_string(ISSUER), der_string(ISSUER)),
    "DER in raw": (ISSUER.encode(), ISSUER.encode()),
    "DER with more behind": (None, der_string(ISSUER) + b"x"),
    "DER cut": (None, der_string(ISSUER)[:-1]),
    "an integer": (None, b"\x02\x01\x01"),
    "a string of another kind": (None, b"\x16" + der_string(ISSUER)[1:]),
    "a longer form of length": (None, b"\x0c\x81" + der_string(ISSUER)[1:]),
    "not UTF-8": (b"https://\xff", None),
    "DER not UTF-8": (None, b"\x0c\x01\xff"),
    "empty": (b"", None),
    "both empty": (b"", der_string("")),
    "a line break behind": (ISSUER.encode() + b"\n", None),
    "a zero byte behind": (ISSUER.encode() + b"\0", None),
}


@pytest.mark.parametrize("case", sorted(ISSUERS))
def test_an_issuer_that_is_not_one_plain_text_is_rejected(case: str) -> None:
    raw, der = ISSUERS[case]
    with pytest.raises(SignatureRejected):
        rule(".*", "(?s).*").check(certificate(issuer_raw=raw, issuer_der=der))


@pytest.mark.parametrize("suffix", ["\n", "\r\n", "\t", "\0", "\x7f", " \n "])
def test_an_identity_with_control_characters_is_rejected_by_any_policy(suffix: str) -> None:
    with pytest.raises(SignatureRejected, match="not a printable name"):
        rule("(?s).*").check(certificate(names=[URI(IDENTITY + suffix)]))


@pytest.mark.parametrize(
    "identity",
    [
        IDENTITY + "2",
        "x" + IDENTITY,
        IDENTITY[:-1],
        "https://mallory.example/?" + IDENTITY,
        "https://mallory.example/#" + IDENTITY,
        IDENTITY.replace("refs/heads/main", "refs/pull/1/merge"),
        IDENTITY.replace("gitea.example", "giteaXexample"),
        IDENTITY.upper(),
    ],
)
def test_an_identity_that_matches_only_in_part_is_rejected(identity: str) -> None:
    with pytest.raises(SignatureRejected, match="signed by another identity") as caught:
        rule().check(certificate(names=[URI(identity)]))
    assert caught.value.hint is not None
    assert WORKFLOW in caught.value.hint


@pytest.mark.parametrize("issuer", ["https://gitea.example.mallory.example", "https://gitea.exampl", "https://gitea"])
def test_an_issuer_that_matches_only_in_part_is_rejected(issuer: str) -> None:
    with pytest.raises(SignatureRejected, match="signed by another issuer"):
        rule().check(certificate(issuer_raw=issuer.encode(), issuer_der=der_string(issuer)))


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


LEAVES: dict[str, tuple[x509.Certificate, str]] = {
    "for servers": (certificate(purpose=ExtendedKeyUsageOID.SERVER_AUTH), "not one to sign code with"),
    "for anything": (certificate(purpose=ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE), "not one to sign code with"),
    "for nothing": (certificate(purpose=None), "does not say what it is for"),
    "not to sign": (certificate(usage=key_usage(sign=False)), "not one to sign code with"),
    "to issue others": (certificate(usage=key_usage(sign_certificates=True)), "not one to sign code with"),
    "an authority's": (certificate(ca=True), "an authority's"),
}


@pytest.mark.parametrize("case", sorted(LEAVES))
def test_a_certificate_that_is_not_to_sign_code_is_rejected(case: str) -> None:
    leaf, reason = LEAVES[case]
    with pytest.raises(SignatureRejected, match=reason):
        check_leaf(leaf)


def test_a_certificate_as_fulcio_issues_it_passes() -> None:
    check_leaf(certificate())
    check_leaf(certificate(ca=False))
