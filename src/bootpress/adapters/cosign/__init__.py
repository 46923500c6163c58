"""cosign: decide whether a digest is signed by whom a platform trusts, and sign one as cosign 3 does.

    verifier.py             the port
    signature_search.py     candidates one by one, one verdict with its reasons
    signature_locations.py  where cosign 2 and 3 leave signatures in a registry
    policies.py             a trust policy, compiled
    keys.py                 public keys, and signatures by them
    identities.py           who a certificate speaks for, and whether that is whom the policy names
    signed_payloads.py      what a signature says: in-toto statement (cosign 3), simple signing (cosign 2)
    bundles.py              the shape of a Sigstore bundle
    rekor.py                the shape of a cosign 2 log entry
    roots.py                trusted roots: authorities, logs, and when they were valid
    public_good.py          the root of the public Sigstore services
    keyless.py              certificates: bundles through sigstore's public API
    legacy_keyless.py       certificates: cosign 2, which that API does not accept
    sigstore_private.py     the only place that touches sigstore's private names
    parsing.py              strict JSON, base64, PEM, and text that is safe to show
    signing.py              sign and describe a signature as cosign 3 does, for the demo

`keyless.py`, `legacy_keyless.py`, `roots.py` and `sigstore_private.py` import sigstore (half a second): they are
loaded when a keyless policy is, so that this package is light for everyone else.
"""
