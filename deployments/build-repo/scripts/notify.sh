#!/usr/bin/env bash
# Tell bootpress what was pushed. The HMAC over the body says who rings; the signature in the registry says what it is.
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

need curl openssl
url=$(webhook_url)
secret=$(webhook_secret)

# hmac FILE: print the HMAC-SHA256 of a file in hex. Openssl would take the key on its command line, which every user of
# the machine can read; so it only hashes here: H(key ^ 5c.. | H(key ^ 36.. | file)), RFC 2104.
hmac() {
    local key byte inner='' outer='' hex i
    key=$(printf '%s' "$secret" | od -An -v -tx1 | tr -d ' \n')
    if ((${#key} > 128)); then key=$(printf '%s' "$secret" | sha256); fi
    for ((i = 0; i < 64; i++)); do
        hex=${key:2*i:2}
        byte=$((16#${hex:-0}))
        printf -v inner '%s\\x%02x' "$inner" $((byte ^ 0x36))
        printf -v outer '%s\\x%02x' "$outer" $((byte ^ 0x5c))
    done
    hex=$({ printf '%b' "$inner" && cat "$1"; } | sha256)
    for ((i = 0; i < 64; i += 2)); do outer+="\\x${hex:i:2}"; done
    printf '%b' "$outer" | sha256
}

sha256() { openssl dgst -sha256 -r | cut -d ' ' -f 1; }

# field NAME VALUE: one more line of the body, unless the value is empty; no value here needs escaping.
field() { if [[ -n $2 ]]; then printf ',\n  "%s": "%s"' "$1" "$2"; fi; }

slug=$(platform_slug)
reference=$(repository):$(image_tag)
digest=$(pushed_digest)
commit=$(commit)
id=$(dispatch_id)
run=${GITHUB_RUN_ID-}
if [[ ! $run =~ ^[A-Za-z0-9._-]{1,64}$ ]]; then run=''; fi
sbom=$(sha256 <build/sbom.spdx.json)
arch=$(<build/arch)
blobs=(build/oci/config.json build/oci/vmlinuz build/oci/initramfs.cpio.zst)
if [[ -f build/oci/base.erofs ]]; then blobs+=(build/oci/base.erofs); fi
size=$(cat "${blobs[@]}" | wc -c)

body=build/announcement.json
{
    printf '{\n  "platform_slug": "%s"' "$slug"
    field oci_ref "$reference"
    field oci_digest "$digest"
    field git_sha "$commit"
    field arch "$arch"
    field run_id "$run"
    field dispatch_id "$id"
    field sbom_path build/sbom.spdx.json
    field sbom_digest "sha256:$sbom"
    printf ',\n  "size_bytes": %d\n}\n' "$size"
} >"$body"
cat "$body"

signature=$(hmac "$body")
answer=build/answer.json
code=0
status=$(curl --fail-with-body --silent --show-error --retry 8 --retry-connrefused --retry-max-time 600 --max-time 60 \
    --header 'Content-Type: application/json' --header "X-Hub-Signature-256: sha256=$signature" \
    --data-binary "@$body" --output "$answer" --write-out '%{http_code}' "$url") || code=$?
if [[ -s $answer ]]; then head -c 2000 "$answer" && say; fi
if ((code == 0)); then exit; fi
# Away all the while: no connection (7), no answer (28, 52, 56), or one that says so. The image is there, and of a run
# that bootpress dispatched it will see that it ended well, and look for it; nobody else would.
if [[ -n $id && ($code =~ ^(7|28|52|56)$ || ($code == 22 && $status =~ ^(408|429|5..)$)) ]]; then
    say "bootpress could not be told (curl: $code): it dispatched this run, and finds the image by itself when it is back"
    exit
fi
die "bootpress did not take the announcement (curl: $code)" \
    "401: the secret differs from the webhook's, run bootstrap_disk_image_ci again; 422: see above; else: is it up, is its URL right?"
