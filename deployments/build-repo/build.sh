#!/usr/bin/env bash
# Build a small disk image into build/oci: a Debian kernel, and an initramfs that boots to a shell. Make it yours.
#
#   bash build.sh --arch amd64 --variants kernel-initrd-composefs-oci
#
# The variants are the parts wanted, joined by dashes: kernel and initrd always, composefs the read-only base where the
# machine can make one, oci the config beside them. The same packages and SOURCE_DATE_EPOCH (default: the commit's time)
# make the same bytes. Packages come from the machine's own apt sources, without root, and are kept in DISK_IMAGE_CACHE.
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/scripts/common.sh"
# shellcheck source=scripts/packages.sh
source scripts/packages.sh

KERNEL_PACKAGE=${KERNEL_PACKAGE-}        # default: Debian's for clouds, Ubuntu's for virtual machines
MODULES=${MODULES-virtio_pci virtio_net} # with what they depend on; a module that the kernel has built in is skipped

arch=amd64 variants=kernel-initrd-oci
while (($#)); do
    case $1 in
    --arch) arch=${2-} ;;
    --variants) variants=${2-} ;;
    *) die "unknown argument '$1'" "usage: bash build.sh --arch amd64|arm64 --variants kernel-initrd-composefs-oci" ;;
    esac
    shift $(($# < 2 ? 1 : 2))
done
case $arch in
amd64) console=ttyS0 ;;
arm64) console=ttyAMA0 ;;
*) die "unknown architecture '$arch'" "amd64 or arm64" ;;
esac
CMDLINE=${CMDLINE-console=$console}
[[ $CMDLINE != *[\"\\]* ]] || die "CMDLINE is $CMDLINE, with a quote or a backslash" "a kernel has no use for either"
for part in ${variants//-/ }; do
    [[ $part =~ ^(kernel|initrd|composefs|oci)$ ]] || die "unknown variant '$part'" "kernel, initrd, composefs and oci, joined by dashes"
done
[[ -$variants- == *-kernel-* && -$variants- == *-initrd-* ]] || die "an image needs a kernel and an initrd" "it was asked for '$variants'"
need cpio zstd dpkg-deb apt-get

epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
umask 022
rm -rf build
mkdir -p build/oci build/initramfs/{bin,etc,lib/modules}
printf '%s\n' "$arch" >build/arch
printf '%s\n' "$epoch" >build/epoch

# module_file NAME: print where a module lies in the kernel's package; nothing for one that is built in.
module_file() {
    local name=${1//_/[_-]}
    find build/kernel \( -name "$name.ko" -o -name "$name.ko.xz" \) | head -n 1
}

# add_module NAME: copy a module, unpacked, and what it depends on.
add_module() {
    local source target=build/initramfs/lib/modules/$kernel_version/$1.ko dependency
    source=$(module_file "$1")
    if [[ -z $source || -e $target ]]; then return; fi
    if [[ $source == *.xz ]]; then xz --decompress --stdout "$source" >"$target"; else cp "$source" "$target"; fi
    for dependency in $(tr '\0' '\n' <"$target" | sed -n 's/^depends=//p' | tr ',' ' '); do
        add_module "$dependency"
    done
}

say "kernel"
kernel_package=$(fetch_kernel "$arch" "$KERNEL_PACKAGE")
dpkg-deb --extract "$kernel_package" build/kernel
kernel=$(find build/kernel/boot -name 'vmlinuz-*' | head -n 1)
[[ -n $kernel ]] || die "${kernel_package##*/} holds no kernel" "set KERNEL_PACKAGE to a package with /boot/vmlinuz-*"
kernel_version=${kernel##*/vmlinuz-}
cp "$kernel" build/oci/vmlinuz

say "initramfs"
busybox_package=$(fetch_package "$arch" busybox-static)
dpkg-deb --extract "$busybox_package" build/busybox
install -m 755 "$(find build/busybox -path '*/bin/busybox' | head -n 1)" build/initramfs/bin/busybox
install -m 755 initramfs/init build/initramfs/init
printf 'disk image of commit %s, kernel %s\n' "${GITHUB_SHA:-unknown}" "$kernel_version" >build/initramfs/etc/issue
mkdir -p "build/initramfs/lib/modules/$kernel_version"
for module in $MODULES; do add_module "$module"; done
find build/initramfs -exec touch --no-dereference --date="@$epoch" {} +
(cd build/initramfs && find . -mindepth 1 -printf '%P\0' | sort --zero-terminated |
    cpio --null --create --format=newc --owner=0:0 --reproducible --quiet) |
    zstd -12 --threads=1 --quiet -o build/oci/initramfs.cpio.zst

base=null
if [[ -$variants- == *-composefs-* ]]; then
    if command -v mkfs.erofs >/dev/null; then
        say "base"
        mkfs.erofs --quiet -T "$epoch" -U 00000000-0000-0000-0000-000000000000 --all-root build/oci/base.erofs build/initramfs
        base='"erofs"'
    else
        say "no base: this machine has no mkfs.erofs (package erofs-utils); the image is its kernel and initramfs"
    fi
fi

bash scripts/sbom.sh "$arch" "$epoch" "$kernel_package" "$busybox_package" >build/sbom.spdx.json
printf '{"schemaVersion":1,"os":"linux","architecture":"%s","kernelVersion":"%s","cmdline":"%s","baseFormat":%s,"composefsDigest":null,"sourceDateEpoch":%d}' \
    "$arch" "$kernel_version" "$CMDLINE" "$base" "$epoch" >build/oci/config.json
(cd build/oci && sha256sum ./*)
