#!/bin/sh
# Tries the packages on Debians with a real systemd, in containers: make test-packages
#
#     make test-packages                      skips, and says why, where that cannot be done
#     make test-packages REQUIRED=1           fails there instead
#     make test-packages ARGS="-k watchdog"   the rest goes to pytest
#
# Needs root, debootstrap, systemd-nspawn, reprepro and gpg. Builds the packages of this tree, and
# the same tree under a lower number to upgrade from.
set -eu
cd "$(dirname "$0")/../.."
python=.venv/bin/python
packages=$PWD/build/test-packages

# make hands its own flags on, which would silence nothing but confuse the makes in here.
unset MAKEFLAGS MFLAGS MAKELEVEL

skip() {
    echo "test-packages: ${REQUIRED:+FAILED, not }skipped: $1" >&2
    [ -z "${REQUIRED:-}" ] || exit 1
    exit 0
}

[ "$(uname -s)" = Linux ] || skip "containers of systemd-nspawn need Linux"
[ "$(id -u)" -eq 0 ] || skip "only root can start a container with systemd in it: sudo make test-packages"
missing=
for pair in debootstrap:debootstrap systemd-nspawn:systemd-container nsenter:util-linux \
    reprepro:reprepro gpg:gnupg dpkg-deb:dpkg; do
    command -v "${pair%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -z "$missing" ] || skip "not installed:$missing (apt-get install --no-install-recommends$missing)"
architecture=$(dpkg --print-architecture)
[ "$architecture" = amd64 ] || [ "$architecture" = arm64 ] ||
    skip "there are packages for amd64 and arm64 only, and this is $architecture"

OCPD_TEST_TREES=$(sh packaging/test/trees.sh) || skip "there is no Debian to try them on, see above"
export OCPD_TEST_TREES
# Root in a container may be too little of a root.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --register=no --keep-unit \
    --private-network --volatile=overlay --directory="$OCPD_TEST_TREES/trixie" /bin/true \
    </dev/null || skip "systemd-nspawn cannot start a container here, see above"

# What dist/deb has may be older than the tree.
rm -rf "$packages"
make --silent deb DEB_OUT="$packages/new"
make --silent deb DEB_OUT="$packages/old" DEB_VERSION=0.0.9
export OCPD_TEST_PACKAGES="$packages"

exec "$python" -m pytest tests/packages "$@"
