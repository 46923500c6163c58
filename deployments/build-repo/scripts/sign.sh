#!/usr/bin/env bash
# Sign the digest that was pushed: with a key where there is one, else as this job. For cosign 2 and 3.
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

need cosign
image=$(repository)@$(pushed_digest)
log_in

flags=(--yes)
if is_plain_http; then flags+=(--allow-http-registry); fi
if [[ -z ${COSIGN_PRIVATE_KEY-} ]]; then
    say "signing $image as this job"
    retry cosign sign "${flags[@]}" "$image"
    exit
fi

# A key needs no transparency log: whoever trusts the key, trusts what it signs. cosign 3 is told by a list of services
# with nothing in it, cosign 2 by a flag that cosign 3 no longer takes together with its own format.
flags+=(--key env://COSIGN_PRIVATE_KEY)
help=$(cosign sign --help 2>&1)
if [[ $help =~ --use-signing-config=true|--use-signing-config[^$'\n']*default\ true ]]; then
    services=build/no-services.json
    printf '{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}' >"$services"
    flags+=("--signing-config=$services")
    # It checks what it signed, and would fetch whom the world trusts for that, from the internet.
    if [[ $help == *--trusted-root* ]]; then
        printf '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}' >build/no-roots.json
        flags+=(--trusted-root=build/no-roots.json)
    fi
else
    flags+=(--tlog-upload=false)
fi
say "signing $image with the key"
retry cosign sign "${flags[@]}" "$image"
