# shellcheck shell=bash
# What the scripts share: messages, and the names that follow from the inputs. Sourced, never run.
# Each script works these names out again from its environment, so that no step needs another step's outputs.
set -euo pipefail
shopt -s inherit_errexit # else a failure inside of $() ends nothing
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s\n' "$*"; }

# die MESSAGE [HINT]: end the step, saying what happened and what to do.
die() {
    printf 'error: %s\n' "$1" >&2
    if [[ -n ${2-} ]]; then printf '  hint: %s\n' "$2" >&2; fi
    exit 1
}

# need PROGRAM...: end the step unless the runner has all of them.
need() {
    local program missing=()
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    if ((${#missing[@]})); then
        die "this runner has no ${missing[*]}" "install what is missing where the job runs, and put it on PATH"
    fi
}

# retry COMMAND...: try up to three times; a registry may stumble.
retry() {
    local pause
    for pause in 2 5; do
        "$@" && return
        say "that failed; again in $pause s" >&2
        sleep "$pause"
    done
    "$@"
}

platform_slug() {
    local slug=${INPUT_PLATFORM_SLUG:-${POWERNODE_PLATFORM_SLUG-}}
    [[ -n $slug ]] || die "no platform to build for: the input platform_slug and the variable POWERNODE_PLATFORM_SLUG are empty" \
        "dispatch with the input platform_slug, or set the variable POWERNODE_PLATFORM_SLUG for builds of tags"
    [[ $slug =~ ^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*$ ]] ||
        die "the platform '$slug' is no name that a repository can have" "use lower-case letters, digits and single . _ -"
    printf '%s' "$slug"
}

# What ends in a manifest and in JSON is checked here, so that nothing need be escaped there.
dispatch_id() {
    local id=${INPUT_DISPATCH_ID-}
    [[ -z $id || $id =~ ^[A-Za-z0-9._-]{1,128}$ ]] || die "the input dispatch_id is no id that bootpress gives"
    printf '%s' "$id"
}

commit() {
    [[ ${GITHUB_SHA-} =~ ^[0-9a-f]{40}([0-9a-f]{24})?$ ]] || die "GITHUB_SHA is '${GITHUB_SHA-}', no commit"
    printf '%s' "$GITHUB_SHA"
}

# A tag as registries accept it, made from the branch or tag that is built: feature/x y -> feature-x-y.
image_tag() {
    local tag=${GITHUB_REF_NAME-}
    tag=${tag//[^A-Za-z0-9._-]/-}
    # A tag begins with a letter, digit or underscore. Where a registry lists no referrers, tags like sha256-<hex> hold
    # an image's signatures: no branch may overwrite them.
    if [[ -z $tag || $tag == [.-]* || $tag =~ ^sha256-[0-9a-fA-F]{64} ]]; then tag=_$tag; fi
    printf '%s' "${tag:0:128}"
}

registry() {
    local host=${POWERNODE_OCI_REGISTRY-}
    host=${host#http://} host=${host#https://} host=${host%/}
    [[ -n $host ]] || die "no registry to push to: the variable POWERNODE_OCI_REGISTRY is empty" \
        "set it to the registry's host, such as registry.example.com"
    [[ $host =~ ^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?$ ]] ||
        die "POWERNODE_OCI_REGISTRY is '$host', no host of a registry" "write host or host:port, without a path"
    printf '%s' "$host"
}

# The repository must be the platform's oci_repository to the letter.
repository() {
    local slug host path
    slug=$(platform_slug)
    host=$(registry)
    [[ -n ${GITHUB_REPOSITORY-} ]] || die "GITHUB_REPOSITORY is empty: this does not run as a job of a forge"
    path=$GITHUB_REPOSITORY/$slug
    printf '%s/%s' "$host" "${path,,}"
}

# Registries are spoken to by HTTPS, but for one on this machine, or where the operator says so.
is_plain_http() {
    [[ ${POWERNODE_REGISTRY_PLAIN_HTTP-} == true || $(registry) =~ ^(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?$ ]]
}

# log_in: use the account that was given for the registry, in a folder that ends with this script.
log_in() {
    if [[ -z ${POWERNODE_REGISTRY_TOKEN-} ]]; then return; fi
    local flags=()
    if is_plain_http; then flags=(--plain-http); fi
    DOCKER_CONFIG=$(mktemp -d)
    export DOCKER_CONFIG
    trap 'rm -rf "$DOCKER_CONFIG"' EXIT
    printf '%s' "$POWERNODE_REGISTRY_TOKEN" |
        oras login "${flags[@]}" --registry-config "$DOCKER_CONFIG/config.json" \
            --username "${POWERNODE_REGISTRY_USER-}" --password-stdin "$(registry)" >/dev/null ||
        die "could not log in to the registry $(registry) as '${POWERNODE_REGISTRY_USER-}'" \
            "oras says why above; the account is in the secrets POWERNODE_REGISTRY_USER and POWERNODE_REGISTRY_TOKEN"
}

pushed_digest() {
    local digest
    digest=$(cat build/oci/digest 2>/dev/null) || die "nothing was pushed yet" "run scripts/push.sh first"
    printf '%s' "$digest"
}

webhook_url() {
    local url=${POWERNODE_DISK_IMAGE_WEBHOOK_URL:-${POWERNODE_WEBHOOK_URL-}}
    [[ -n $url ]] || die "no webhook to ring: the variable POWERNODE_DISK_IMAGE_WEBHOOK_URL is empty" \
        "run bootstrap_disk_image_ci again, or set it to the webhook's URL"
    printf '%s' "$url"
}

webhook_secret() {
    local secret=${POWERNODE_DISK_IMAGE_WEBHOOK_SECRET:-${POWERNODE_WEBHOOK_SECRET-}}
    [[ -n $secret ]] || die "no secret to sign the webhook with: POWERNODE_DISK_IMAGE_WEBHOOK_SECRET is empty" \
        "run bootstrap_disk_image_ci again, or set the secret that provision_disk_image_webhook returns"
    printf '%s' "$secret"
}
