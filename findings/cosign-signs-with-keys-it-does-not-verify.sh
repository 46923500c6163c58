#!/usr/bin/env bash
# cosign 3 signs with every imported key type, and verifies only two of them by default.
#
# Versions: github.com/sigstore/cosign/v3 v3.1.3 built with Go 1.26; OpenSSL 3 makes the keys.
#
# Behaviour: `cosign import-key-pair` takes P-256, P-384, P-521, RSA and Ed25519 keys. `sign-blob` and `attest-blob`
# end with 0 for each of them. `verify-blob` and `verify-blob-attestation` with the matching public key and the bundle
# that cosign wrote fail for P-384, P-521 and Ed25519, although the bundle names its hash (SHA2_384, SHA2_512). For
# Ed25519 the bundle's messageDigest is empty. A pipeline whose signing step is green may so have signed nothing that
# its own verification step accepts. P-256 and RSA keys work.
#
# Seen (columns: key, sign-blob, verify-blob, attest-blob, verify-blob-attestation, messageDigest.algorithm):
#   p256 ok ok ok ok SHA2_256
#   p384 ok fails ok fails SHA2_384
#   p521 ok fails ok fails SHA2_512
#   rsa3072 ok ok ok ok SHA2_256
#   ed25519 ok fails ok fails none
#
# Needs go, openssl and python3. Takes some minutes: cosign is built from source. Exit code 0: seen again as above.
set -euo pipefail

folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
GOBIN="$folder/bin" GOPATH="$folder/go" go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
export COSIGN_PASSWORD='' COSIGN_YES=true HOME="$folder" PATH="$folder/bin:$PATH"

word() { if "$@" >>log 2>&1; then printf 'ok'; else printf 'fails'; fi; }

hash_of() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["messageSignature"]["messageDigest"].get("algorithm", "none"))' "$1"
}

try() {
    local name=$1
    shift
    openssl genpkey "$@" -out "$name.pem" 2>>log
    cosign import-key-pair --key "$name.pem" --output-key-prefix "$name" >>log 2>&1
    local signing=(--key "$name.key" --signing-config signing-config.json)
    local checking=(--key "$name.pub" --insecure-ignore-tlog=true)
    local kind=(--type https://example.org/predicate)
    printf '%s %s %s %s %s %s\n' "$name" \
        "$(word cosign sign-blob "${signing[@]}" --bundle "$name.blob.json" blob)" \
        "$(word cosign verify-blob "${checking[@]}" --bundle "$name.blob.json" blob)" \
        "$(word cosign attest-blob "${signing[@]}" "${kind[@]}" --predicate predicate.json --bundle "$name.att.json" blob)" \
        "$(word cosign verify-blob-attestation "${checking[@]}" "${kind[@]}" --bundle "$name.att.json" blob)" \
        "$(hash_of "$name.blob.json")"
}

echo hello >blob
echo '{"a": 1}' >predicate.json
cosign signing-config create >signing-config.json 2>>log
{
    try p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
    try p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
    try p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
    try rsa3072 -algorithm RSA -pkeyopt rsa_keygen_bits:3072
    try ed25519 -algorithm ed25519
} >seen
cat seen
diff - seen <<'SEEN'
p256 ok ok ok ok SHA2_256
p384 ok fails ok fails SHA2_384
p521 ok fails ok fails SHA2_512
rsa3072 ok ok ok ok SHA2_256
ed25519 ok fails ok fails none
SEEN
