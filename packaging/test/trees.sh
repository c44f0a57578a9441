#!/bin/sh
# Makes the Debians that packages are tried on, one folder for each release: bookworm, trixie.
#
#     sh packaging/test/trees.sh              prints where they are
#
# A minute each the first time; then they are kept, outside of the checkout, in
# $OCPD_TEST_TREES, else $XDG_CACHE_HOME/ocpd-test or ~/.cache/ocpd-test. Nothing ever writes into
# them: a container gets a layer of its own. Needs root and debootstrap. They come from the mirror
# that this machine's apt uses; $OCPD_TEST_MIRROR names another one.
set -eu
umask 022
trees=${OCPD_TEST_TREES:-${XDG_CACHE_HOME:-$HOME/.cache}/ocpd-test}

# What a Debian has that somebody runs ocpd on, and a base system has not. No package may be asked
# for later: the containers have no network.
with=systemd,systemd-sysv,dbus,libpam-systemd,udev,procps,iproute2,ca-certificates,python3

say() { echo "test-packages: $*" >&2; }

mirror() {
    if [ -n "${OCPD_TEST_MIRROR:-}" ]; then
        echo "$OCPD_TEST_MIRROR"
        return
    fi
    # $(REPO_URI) is apt's word, not the shell's.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
        sed -n 's|^\(https\{0,1\}://.*/debian\)/*$|\1|p' | head -n 1
}

make_tree() {
    release=$1
    tree=$trees/$release
    [ "$(cat "$tree/.made-of" 2>/dev/null)" != "$with" ] || return 0
    from=$(mirror)
    if [ -z "$from" ]; then
        say "no Debian mirror in this machine's apt sources: OCPD_TEST_MIRROR=ADDRESS names one"
        exit 1
    fi
    say "making a Debian $release in $tree: a minute, this once"
    rm -rf "$tree" "$tree.partial"
    debootstrap --variant=minbase "--include=$with" "$release" "$tree.partial" "$from" \
        >"$trees/$release.log" 2>&1 || {
        tail -n 20 "$trees/$release.log" >&2
        say "debootstrap failed; all of it is in $trees/$release.log"
        exit 1
    }
    # Nobody answers in there.
    rm -rf "$tree.partial"/etc/apt/sources.list* "$tree.partial"/var/lib/apt/lists/* \
        "$tree.partial"/var/cache/apt/*.bin "$tree.partial"/var/cache/apt/archives/*.deb
    mkdir -p "$tree.partial/etc/apt/sources.list.d"
    echo "$with" >"$tree.partial/.made-of"
    mv "$tree.partial" "$tree"
}

mkdir -p "$trees"
# Two runs at once would make the same.
exec 9>"$trees/.lock"
flock 9
for release in bookworm trixie; do
    make_tree "$release"
done
echo "$trees"
