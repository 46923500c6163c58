"""A certificate authority, logs and a timestamp authority of the tests' own, which issue whatever is asked.

Enough of Fulcio, CT (RFC 6962), Rekor 1 and 2, and a timestamp authority (RFC 3161) for what their honest
counterparts never would sign.
"""

from tests.support.sigstore_services.authority import Leaf
from tests.support.sigstore_services.lies import HONEST, IDENTITY, ISSUER, NOW, START, Json, Lies, named, vouched_for_by
from tests.support.sigstore_services.services import Services, simple_signing, statement
from tests.support.sigstore_services.stamps import StampAuthority

__all__ = [
    "HONEST",
    "IDENTITY",
    "ISSUER",
    "NOW",
    "START",
    "Json",
    "Leaf",
    "Lies",
    "Services",
    "StampAuthority",
    "named",
    "simple_signing",
    "statement",
    "vouched_for_by",
]
