# shellcheck shell=bash
# Debian packages as files, without installing them and without root. Sourced, after common.sh.
# Without a network, what is in the cache is used: put packages there for machines that have none.

# What outlives a job: the runner says where, or else it is the home of the user who runs it.
CACHE=${DISK_IMAGE_CACHE:-${RUNNER_TOOL_CACHE:-$HOME/.cache}/disk-images}

# use_apt ARCH own|system: choose the package lists that are asked, the machine's or our own for that architecture.
use_apt() {
    local lists=$CACHE/$1/lists kept=$CACHE/$1/apt-$2
    mkdir -p "$lists/partial" "$kept/archives/partial"
    APT_OPTIONS=(-q -o "APT::Sandbox::User=$(id -un)" -o Acquire::Retries=3)
    # What apt makes of its lists it keeps where it may write: that takes a second each time.
    APT_OPTIONS+=(-o "Dir::Cache=$kept" -o Dir::Cache::pkgcache=packages.bin -o Dir::Cache::srcpkgcache=sources.bin)
    if [[ $2 == own ]]; then
        APT_OPTIONS+=(-o "APT::Architecture=$1" -o "APT::Architectures=$1" -o Dir::State::Status=/dev/null)
        APT_OPTIONS+=(-o "Dir::State::Lists=$lists")
    fi
}

# ask_apt ARCH PACKAGE: find a package in the machine's lists or in our own, fetched once a build. Sets APT_OPTIONS, and
# APT_FILE to the name, size and hash of what apt would download.
ask_apt() {
    if [[ $1 == "$(dpkg --print-architecture)" ]]; then
        use_apt "$1" system
        if find_file "$2"; then return; fi
    fi
    use_apt "$1" own
    if [[ ! -f build/lists-$1 ]]; then
        say "fetching the package lists for $1" >&2
        apt-get "${APT_OPTIONS[@]}" update >&2 || return
        : >"build/lists-$1"
    fi
    find_file "$2"
}

find_file() {
    APT_FILE=$(apt-get "${APT_OPTIONS[@]}" download --print-uris "$1" 2>/dev/null | sed -n "s/^'[^']*' //p")
    [[ -n $APT_FILE ]]
}

# fetch_package ARCH PACKAGE [PATTERN]: print where the package lies as a file, downloaded unless the cache has it.
fetch_package() {
    local arch=$1 package=$2 pattern=${3:-$2_*.deb} file hash folder found
    mkdir -p "$CACHE/$arch"
    if ! ask_apt "$arch" "$package"; then
        found=$(find "$CACHE/$arch" -maxdepth 1 -name "$pattern" | sort --version-sort | tail -n 1)
        [[ -n $found ]] || die "apt does not know the package $package for $arch, and $CACHE/$arch has none" \
            "run apt-get update where the job runs, or put $pattern into $CACHE/$arch"
        say "apt does not know $package: taking ${found##*/} from the cache" >&2
        printf '%s' "$found"
        return
    fi
    read -r file _ hash <<<"$APT_FILE"
    found=$CACHE/$arch/$file
    if ! matches "$found" "$hash"; then
        # In a folder of its own: another job may be at it too.
        folder=$(mktemp -d "$CACHE/$arch/fetching-XXXXXX")
        (cd "$folder" && apt-get "${APT_OPTIONS[@]}" download "$package" >&2) ||
            { rm -rf "$folder" && die "the package $package could not be downloaded" "see above; is the mirror reachable?"; }
        mv "$folder/$file" "$found"
        rm -rf "$folder"
        matches "$found" "$hash" || die "$file is not what apt promised ($hash)" "delete $found and try again"
    fi
    printf '%s' "$found"
}

# matches FILE HASH: tell whether a file is there and has this hash, as apt writes it.
matches() { [[ -f $1 && $2 == SHA256:* && $(sha256sum <"$1") == "${2#SHA256:} "* ]]; }

# fetch_kernel ARCH [PACKAGE]: the same for a kernel; by default the one that the distribution's own package points to.
fetch_kernel() {
    local arch=$1 name=${2-} real
    if [[ -z $name ]]; then
        name=linux-image-cloud-$arch
        if grep -qs '^ID=ubuntu' /etc/os-release; then name=linux-image-virtual; fi
    fi
    if ask_apt "$arch" "$name"; then
        real=$(apt-cache "${APT_OPTIONS[@]}" depends --important "$name" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
        name=${real:-$name}
    fi
    fetch_package "$arch" "$name" 'linux-image-[0-9]*.deb'
}
