#!/usr/bin/env bash
# `crane registry serve` answers a delete by digest with 202 and keeps serving the manifest under its tag.
#
# Version: github.com/google/go-containerregistry/cmd/crane v0.22.1 (package pkg/registry, which many test suites embed).
#
# Behaviour: the distribution specification lets a client delete a manifest by digest. This registry keeps a copy of a
# manifest under each tag. A DELETE of the digest is answered with 202, and the digest is 404 afterwards. The tag still
# answers 200 with the same bytes and the same Docker-Content-Digest, and it is still listed. A clean-up that is tested
# against this registry sees no difference between "deleted" and "deleted, but not by its tag".
#
# Seen:
#   delete by digest: 202
#   get by digest: 404
#   get by tag: 200 with the deleted digest
#   tags: v1
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

digest() { printf 'sha256:%s' "$(sha256sum "$1" | cut -d ' ' -f 1)"; }
status() { curl -s -o /dev/null -w '%{http_code}' "$@"; }

printf '{}' >config
curl -sf -X POST --data-binary @config "$base/blobs/uploads/?digest=$(digest config)"
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"%s","size":2},"layers":[]}' \
    "$(digest config)" >manifest
curl -sf -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary @manifest "$base/manifests/v1"
{
    echo "delete by digest: $(status -X DELETE "$base/manifests/$(digest manifest)")"
    echo "get by digest: $(status "$base/manifests/$(digest manifest)")"
    served=$(curl -s -D - -o /dev/null "$base/manifests/v1" | tr -d '\r' | sed -n 's/^Docker-Content-Digest: //p')
    [ "$served" = "$(digest manifest)" ] && echo "get by tag: $(status "$base/manifests/v1") with the deleted digest"
    echo "tags: $(curl -s "$base/tags/list" | python3 -c 'import json, sys; print(*json.load(sys.stdin)["tags"])')"
} | tee seen
diff - seen <<'SEEN'
delete by digest: 202
get by digest: 404
get by tag: 200 with the deleted digest
tags: v1
SEEN
