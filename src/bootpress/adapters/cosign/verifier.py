"""Decide whether a digest is signed by whom a platform trusts: the port SignatureVerifier."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from bootpress.adapters.cosign import keys
from bootpress.adapters.cosign.attachments import find_attachments
from bootpress.adapters.cosign.policies import KeylessPolicy, KeysPolicy, Policy, trusts
from bootpress.adapters.cosign.public_good import PublicGoodRoot
from bootpress.adapters.cosign.signature_search import Search
from bootpress.core.errors import InvalidInput
from bootpress.core.platforms.trust import KeylessTrust, KeysTrust, TrustPolicy, trust_policy
from bootpress.core.ports import Attachment, Registry, Signer, VerifiedSignature
from bootpress.core.references import Repository

_KEPT_POLICIES = 64


class CosignVerifier:
    """Verify signatures by cosign 2 and 3; one is shared by threads and keeps the policies it compiled."""

    def __init__(self, public_good: PublicGoodRoot | None = None) -> None:
        self._public_good = public_good or PublicGoodRoot()
        self._compile = functools.lru_cache(maxsize=_KEPT_POLICIES)(self._compile_text)

    def check_policy(self, policy: TrustPolicy) -> None:
        """Compile every expression, key and root of a policy; raise InvalidInput that names the field.

        The public-good root is looked up when the first signature is verified, not here.
        """
        self._read(policy)

    def normalise(self, policy: TrustPolicy) -> TrustPolicy:
        """Return a policy that holds, its keys as minimal PEM; raise InvalidInput that names the field.

        What stands around a key in its text, comments among it, says nothing and is dropped.
        """
        self.check_policy(policy)
        if isinstance(policy, KeylessTrust):
            return policy
        return policy.model_copy(update={"public_keys": tuple(keys.load_pem(pem).pem for pem in policy.public_keys)})

    def trusts(self, policy: TrustPolicy, signer: Signer) -> bool:
        """Tell whether a policy names this signer, whose signature was verified before; looks at no trusted root."""
        return trusts(policy, signer)

    def verify(self, registry: Registry, repository: Repository, digest: str, policy: TrustPolicy) -> VerifiedSignature:
        """Return the first good signature on exactly this digest.

        Raises SignatureRejected, saying for each candidate why not; RegistryUnavailable and TrustRootUnavailable are
        never turned into "unsigned".
        """
        return Search(registry, repository, digest, self._read(policy)).run()

    def find_attachments(self, registry: Registry, repository: Repository, digest: str) -> Sequence[Attachment]:
        """Find what cosign 2 attached to a digest by tag; leave out what is, or may be, about anything else."""
        return find_attachments(registry, repository, digest)

    def _read(self, policy: TrustPolicy) -> Policy:
        try:
            text = policy.model_dump_json()
        except (ValueError, RecursionError) as error:
            raise InvalidInput("the trust policy cannot be written as JSON", field="trust") from error
        return self._compile(text)

    def _compile_text(self, text: str) -> Policy:
        match trust_policy.validate_json(text):
            case KeysTrust() as trust:
                return KeysPolicy(trust)
            case KeylessTrust() as trust:
                return KeylessPolicy(trust, self._public_good)
