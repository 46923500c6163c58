#!/usr/bin/env bash
# go-containerregistry's registry lists every referrer under the media type of its config, not under its artifactType.
#
# Versions: github.com/google/go-containerregistry v0.22.1 (registry.WithReferrersSupport), oras v1.3.3.
#
# Behaviour: the distribution specification has a referrers list repeat the manifest's `artifactType`, and the config's
# media type only where there is none. This registry always repeats the config's. What `oras attach` writes has the
# empty config, so an SPDX document is listed as application/vnd.oci.empty.v1+json. The registry ignores the
# artifactType filter without saying so. A client that trusts the list finds no SBOM: `oras discover` with the artifact
# type prints none, although the manifest states it. A client has to read each manifest to know what it is.
#
# Seen:
#   manifest states: application/spdx+json
#   list says: application/vnd.oci.empty.v1+json
#   oras discover --artifact-type application/spdx+json: 0 found
#
# Needs go, curl and python3. Exit code 0: seen again as above.
set -euo pipefail

folder=$(mktemp -d)
registry=''
trap '[ -z "$registry" ] || kill "$registry"; chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
mkdir "$folder/serve"
cd "$folder/serve"
export GOPATH="$folder/go" GOBIN="$folder" GOFLAGS=-mod=mod
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	panic(http.Serve(listener, registry.New(registry.WithReferrersSupport(true))))
}
GO
go mod init example.org/serve 2>/dev/null
go get github.com/google/go-containerregistry@v0.22.1 2>/dev/null
go build -o "$folder/registry" .
go install oras.land/oras/cmd/oras@v1.3.3
cd "$folder"
./registry >address 2>log &
registry=$!
until [ -s address ]; do sleep 0.1; done
name="$(cat address)/os/image"

echo image >image.bin
echo '{"spdxVersion": "SPDX-2.3"}' >sbom.json
./oras push --plain-http "$name:v1" image.bin >>log 2>&1
./oras attach --plain-http --artifact-type application/spdx+json "$name:v1" sbom.json >>log 2>&1
image=$(./oras resolve --plain-http "$name:v1")
list="http://$(cat address)/v2/os/image/referrers/$image"
member() { python3 -c 'import json, sys; print(eval("json.load(sys.stdin)" + sys.argv[1]))' "$1"; }
{
    sbom=$(curl -s "$list" | member '["manifests"][0]["digest"]')
    echo "manifest states: $(./oras manifest fetch --plain-http "$name@$sbom" | member '["artifactType"]')"
    echo "list says: $(curl -s "$list" | member '["manifests"][0]["artifactType"]')"
    found=$(./oras discover --plain-http --artifact-type application/spdx+json --format json "$name:v1" |
        python3 -c 'import json, sys; found = json.load(sys.stdin); print(len(found.get("referrers") or found.get("manifests") or []))')
    echo "oras discover --artifact-type application/spdx+json: $found found"
} | tee seen
diff - seen <<'SEEN'
manifest states: application/spdx+json
list says: application/vnd.oci.empty.v1+json
oras discover --artifact-type application/spdx+json: 0 found
SEEN
