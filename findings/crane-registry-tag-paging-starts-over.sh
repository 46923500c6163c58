#!/usr/bin/env bash
# `crane registry serve` answers a request for the tags after the last tag with all tags again.
#
# Version: github.com/google/go-containerregistry/cmd/crane v0.22.1 (package pkg/registry, which many test suites embed).
#
# Behaviour: `GET /v2/<name>/tags/list?n=2&last=<tag>` is to list the tags behind <tag>. Where there is none behind it,
# this registry lists from the beginning. No answer has a Link header, so that a client has to page by `last` itself:
# one that stops at an empty page never stops. A client that follows Link headers sees the first page alone.
#
# Seen (tags a, b, c):
#   n=2: a b, Link header: none
#   n=2 last=b: c
#   n=2 last=c: a b
#
# Needs go, curl and python3. Exit code 0: seen again as above.
set -euo pipefail

folder=$(mktemp -d)
registry=''
trap '[ -z "$registry" ] || kill "$registry"; chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
GOBIN="$folder" GOPATH="$folder/go" go install github.com/google/go-containerregistry/cmd/crane@v0.22.1
./crane registry serve --address 127.0.0.1:0 2>log &
registry=$!
until grep -q 'serving on port' log; do sleep 0.1; done
base="http://127.0.0.1:$(sed -n 's/.*serving on port //p' log)/v2/os/image"

printf '{}' >config
sha=$(sha256sum config | cut -d ' ' -f 1)
curl -sf -X POST --data-binary @config "$base/blobs/uploads/?digest=sha256:$sha"
manifest='{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:'$sha'","size":2},"layers":[]}'
for tag in a b c; do
    curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary "$manifest" "$base/manifests/$tag"
done

page() { curl -s -D headers "$base/tags/list?$1" | python3 -c 'import json, sys; print(*json.load(sys.stdin)["tags"])'; }
{
    first=$(page n=2)
    link=$(grep -ci '^link:' headers || true)
    echo "n=2: $first, Link header: $([ "$link" = 0 ] && echo none || echo there)"
    echo "n=2 last=b: $(page 'n=2&last=b')"
    echo "n=2 last=c: $(page 'n=2&last=c')"
} | tee seen
diff - seen <<'SEEN'
n=2: a b, Link header: none
n=2 last=b: c
n=2 last=c: a b
SEEN
