#!/bin/sh
# Builds the Debian packages into dist/deb: make deb
#
#     make deb                        for this machine's architecture
#     make deb DEB_ARCH=arm64         for another one: amd64 or arm64
#     make deb DEB_VERSION=0.0.9      the same tree under another number, to test upgrades with
#     make deb DEB_OUT=some/where     not into dist/deb
#
# The tree is laid out anew below build/deb, together with what pip fetched for it, by hash; the
# package build itself (debian/rules) fetches nothing.
set -eu
cd "$(dirname "$0")/../.."
top=$PWD
native=$(dpkg --print-architecture)
arch=${DEB_ARCH:-$native}
out=${DEB_OUT:-dist/deb}
work=${DEB_WORK:-build/deb}
cache=$top/build/deb/cache
tree=$work/tree
python=/usr/bin/python3

case $arch in
    amd64) machine=x86_64 ;;
    arm64) machine=aarch64 ;;
    *)
        echo "make deb: DEB_ARCH=$arch: amd64 or arm64 is wanted" >&2
        exit 1
        ;;
esac

say() { echo "make deb: $*" >&2; }

install_tools() {
    # shellcheck disable=SC2086 # words, each a package
    missing=$(for name in dpkg-dev $1; do
        dpkg-query -W -f '${Status}\n' "$name" 2>/dev/null | grep -q '^install ok' || echo "$name"
    done)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "these packages are missing; install them and start again:"
        # shellcheck disable=SC2086
        echo "    sudo apt-get install --no-install-recommends" $missing >&2
        exit 1
    fi
    say "installing" $missing
    # shellcheck disable=SC2086
    apt_install $missing || { apt-get update -qq && apt_install $missing; }
}

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq \
        --no-install-recommends "$@" >/dev/null
}

build_tools() {
    # The names in Build-Depends; debhelper provides the ones that are only spelled like packages.
    sed -n '/^Build-Depends:/,/^[A-Z]/s/^ \([a-z0-9.+-]*\).*/\1/p' debian/control |
        sed 's/^debhelper-compat$\|^dh-sequence-.*/debhelper/' | sort -u
    [ "$arch" = "$native" ] || echo "binutils-$machine-linux-gnu" | tr _ -
}

lay_out() {
    rm -rf "$tree"
    mkdir -p "$tree/build"
    for name in debian docs models.json ocpctl ocpd packaging CHANGELOG.md LICENSE README.md; do
        cp -a "$name" "$tree/"
    done
    find "$tree" -name __pycache__ -prune -exec rm -rf {} +
}

# Under another number the same tree says that number, wherever it says one.
renumber() {
    old=$(dpkg-parsechangelog -l debian/changelog -S Version)
    version=${DEB_VERSION:-$old}
    [ "$version" != "$old" ] || return 0
    sed -i "1s/($old)/($version)/" "$tree/debian/changelog"
    sed -i "s/^VERSION = \"$old\"/VERSION = \"$version\"/" \
        "$tree/ocpd/daemon/version.py" "$tree/ocpctl/version.py"
    sed -i "1,3s/ $old\"/ $version\"/" "$tree"/packaging/man/*.[0-9]
}

make_freezer() {
    freezer=$cache/freezer-$(cat packaging/locks/freeze.lock "$python" | sha256sum | cut -c1-16)
    if [ ! -e "$freezer/done" ]; then
        say "making a Python for the build: packaging/locks/freeze.lock"
        rm -rf "$freezer"
        "$python" -m venv "$freezer"
        "$freezer/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes \
            --only-binary :all: -r packaging/locks/freeze.lock
        touch "$freezer/done"
    fi
    ln -s "$freezer" "$tree/build/freezer"
}

# The index is the one this machine's pip is set up with. What the lock does not name is refused.
fetch_wheels() {
    wheels=$cache/wheels-$arch-$(sha256sum <packaging/locks/run.lock | cut -c1-16)
    if [ ! -e "$wheels.done" ]; then
        say "fetching the daemon's libraries for $arch: packaging/locks/run.lock"
        rm -rf "$wheels"
        for abi in 3.11 3.12 3.13 3.14; do
            # sdnotify has no wheel. Its metadata is read with the setuptools of the lock.
            "$freezer/bin/python" -m pip download -qq --disable-pip-version-check \
                --require-hashes --no-deps --no-build-isolation \
                --only-binary :all: --no-binary sdnotify \
                --implementation cp --python-version "$abi" \
                --abi "cp$(echo "$abi" | tr -d .)" --abi abi3 --abi none \
                --platform "manylinux_2_28_$machine" --platform "manylinux_2_17_$machine" \
                --platform "manylinux2014_$machine" --dest "$wheels" -r packaging/locks/run.lock
        done
        touch "$wheels.done"
    fi
    ln -s "$wheels" "$tree/build/wheels"
}

build() {
    say "building $version for $arch"
    # What is needed was looked for above (-d): Debian would have a compiler, which has nothing to do.
    (cd "$tree" && dpkg-buildpackage --build=binary -us -uc --host-arch "$arch" -d \
        >../build.log 2>&1) || {
        tail -n 40 "$work/build.log" >&2
        say "failed; all of it is in $work/build.log"
        exit 1
    }
    mkdir -p "$out"
    "$python" -I packaging/deb/inspection.py \
        "$work/ocpd_${version}_$arch.deb" "$work/ocpctl_${version}_$arch.deb"
    for name in ocpd ocpctl; do
        mv "$work/${name}_${version}_$arch.deb" "$out/"
        "$python" -I packaging/deb/sbom.py --deb "$out/${name}_${version}_$arch.deb" \
            --bill "$tree/build/vendored.json" --tree "$tree" \
            --into "$out/${name}_${version}_$arch.cdx.json"
    done
    ls -l "$out"/*_"${version}_$arch".* >&2
}

install_tools "$(build_tools)"
lay_out
renumber
make_freezer
fetch_wheels
build
