#!/usr/bin/env bash
# Print an SPDX document: the image, and the Debian packages whose files are in it.
#   bash scripts/sbom.sh ARCH EPOCH PACKAGE.deb...
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

arch=$1 created=$(date --utc --date="@$2" +%Y-%m-%dT%H:%M:%SZ)
shift 2
distribution=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null | tr -d '"')

# about FILE FIELD: one field of a package; Debian's rules leave nothing in these that JSON would have to escape.
about() { dpkg-deb --field "$1" "$2"; }

packages='' relationships='' digests=''
for file in "$@"; do
    name=$(about "$file" Package) version=$(about "$file" Version)
    digest=$(sha256sum <"$file" | cut -d ' ' -f 1)
    id=SPDXRef-${name//[^A-Za-z0-9.-]/-}
    digests+=$digest
    purl=${version//:/%3A}
    purl="pkg:deb/${distribution:-debian}/${name//+/%2B}@${purl//+/%2B}?arch=$(about "$file" Architecture)"
    packages+=",
    {\"SPDXID\": \"$id\", \"name\": \"$name\", \"versionInfo\": \"$version\", \"filesAnalyzed\": false,
     \"downloadLocation\": \"NOASSERTION\", \"licenseConcluded\": \"NOASSERTION\", \"licenseDeclared\": \"NOASSERTION\",
     \"copyrightText\": \"NOASSERTION\", \"checksums\": [{\"algorithm\": \"SHA256\", \"checksumValue\": \"$digest\"}],
     \"externalRefs\": [{\"referenceCategory\": \"PACKAGE-MANAGER\", \"referenceType\": \"purl\",
       \"referenceLocator\": \"$purl\"}]}"
    relationships+=",
    {\"spdxElementId\": \"SPDXRef-image\", \"relationshipType\": \"CONTAINS\", \"relatedSpdxElement\": \"$id\"}"
done

# The namespace is a name, not an address: the same content has the same.
cat <<END
{
  "spdxVersion": "SPDX-2.3",
  "dataLicense": "CC0-1.0",
  "SPDXID": "SPDXRef-DOCUMENT",
  "name": "disk-image-$arch",
  "documentNamespace": "https://bootpress.invalid/sbom/$(printf '%s' "$arch$created$digests" | sha256sum | cut -d ' ' -f 1)",
  "creationInfo": {"created": "$created", "creators": ["Tool: build.sh"],
    "comment": "Lists the packages that files were taken from, not the files."},
  "packages": [
    {"SPDXID": "SPDXRef-image", "name": "disk-image", "versionInfo": "${GITHUB_SHA:-unknown}", "filesAnalyzed": false,
     "downloadLocation": "NOASSERTION", "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
     "copyrightText": "NOASSERTION"}$packages
  ],
  "relationships": [
    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"}$relationships
  ]
}
END
