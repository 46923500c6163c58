#!/usr/bin/env bash
# Fail now, and plainly, for what would make a later step fail.
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

need git curl openssl oras cosign cpio zstd dpkg-deb apt-get

# In assignments of their own: elsewhere a failure inside of $() does not end the script.
slug=$(platform_slug)
id=$(dispatch_id)
repository=$(repository)
tag=$(image_tag)
commit=$(commit)
url=$(webhook_url)
webhook_secret >/dev/null

if [[ -n ${COSIGN_PRIVATE_KEY-} ]]; then
    [[ $COSIGN_PRIVATE_KEY == *"PRIVATE KEY-----"* ]] ||
        die "the secret COSIGN_PRIVATE_KEY is no private key" "paste the whole file that cosign generate-key-pair wrote"
    cosign public-key --key env://COSIGN_PRIVATE_KEY >/dev/null ||
        die "cosign cannot read the signing key" "check that the secret COSIGN_PASSWORD is the password of COSIGN_PRIVATE_KEY"
    signer="a key"
elif [[ -n ${ACTIONS_ID_TOKEN_REQUEST_URL-} && -n ${ACTIONS_ID_TOKEN_REQUEST_TOKEN-} ]]; then
    signer="this job's identity"
else
    die "nothing to sign with: there is no secret COSIGN_PRIVATE_KEY, and this forge gives jobs no identity token (OIDC)" \
        "run bootstrap_disk_image_ci with create_signing_key=true, or turn OIDC for Actions on"
fi
if [[ $url == http://* && ! $url =~ ^http://(localhost|127\.[0-9.]+|\[::1\])[:/] ]]; then
    say "note: the webhook is rung without TLS; what it says is signed, but anybody on the way can read it"
fi
log_in

say "platform $slug, commit $commit${id:+, dispatch $id}"
say "pushing to $repository:$tag, signed with $signer"
