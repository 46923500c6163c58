#!/usr/bin/env bash
# Push what build.sh made as one artifact, and its SBOM as a referrer; leave the digest in build/oci/digest.
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

need oras
reference=$(repository):$(image_tag)
id=$(dispatch_id)
commit=$(commit)
[[ -f build/oci/config.json ]] || die "nothing was built yet" "run build.sh first"
created=$(date --utc --date="@$(<build/epoch)" +%Y-%m-%dT%H:%M:%SZ)
log_in

flags=(--no-tty --artifact-type application/vnd.bootpress.image.v1)
flags+=(--config config.json:application/vnd.bootpress.image.config.v1+json)
flags+=(--annotation "org.opencontainers.image.created=$created" --annotation "org.opencontainers.image.revision=$commit")
# By these bootpress finds the image of a build whose last step never came to ring.
if [[ -n $id ]]; then flags+=(--annotation "io.bootpress.dispatch-id=$id"); fi
plain=()
if is_plain_http; then plain=(--plain-http); fi

# A file's name becomes its title, so oras is called where the files are.
files=(vmlinuz:application/vnd.bootpress.kernel.v1 initramfs.cpio.zst:application/vnd.bootpress.initramfs.v1.cpio+zstd)
if [[ -f build/oci/base.erofs ]]; then files+=(base.erofs:application/vnd.bootpress.base.v1.composefs.erofs); fi
(
    cd build/oci || exit
    retry oras push "${plain[@]}" "${flags[@]}" --export-manifest manifest.json "$reference" "${files[@]}"
)
digest=sha256:$(sha256sum <build/oci/manifest.json | cut -d ' ' -f 1)
printf '%s\n' "$digest" >build/oci/digest
(
    cd build || exit
    retry oras attach "${plain[@]}" --no-tty --artifact-type application/spdx+json \
        --annotation "org.opencontainers.image.created=$created" \
        "${reference%:*}@$digest" sbom.spdx.json:application/spdx+json
)
say "pushed $reference as $digest"
