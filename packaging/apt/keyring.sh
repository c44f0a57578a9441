#!/bin/sh
# Makes the package ocpd-archive-keyring of one release: the keys and where the repository is.
#
#     sh packaging/apt/keyring.sh VERSION FOLDER CODENAME MAINTAINER
#
# FOLDER has ocpd-archive-keyring.gpg and CODENAME.sources, and gets CODENAME.deb. Called by
# build.sh. Made with dpkg-deb alone: it holds two files and no code. The same input gives the
# same bytes (SOURCE_DATE_EPOCH).
set -eu
umask 022
cd "$(dirname "$0")/../.."
version=$1
folder=$2
codename=$3
maintainer=$4

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
doc=$tree/usr/share/doc/ocpd-archive-keyring
overrides=$tree/usr/share/lintian/overrides
mkdir -p "$tree/DEBIAN" "$tree/usr/share/keyrings" "$tree/etc/apt/sources.list.d" "$doc" "$overrides"

cp "$folder/ocpd-archive-keyring.gpg" "$tree/usr/share/keyrings/"
cp "$folder/$codename.sources" "$tree/etc/apt/sources.list.d/ocpd.sources"
echo /etc/apt/sources.list.d/ocpd.sources >"$tree/DEBIAN/conffiles"

cat LICENSE >"$doc/copyright"
cat >"$overrides/ocpd-archive-keyring" <<'END'
# It is what this package is for: whoever installs it asks for this repository, by name.
ocpd-archive-keyring: package-installs-apt-sources [etc/apt/sources.list.d/ocpd.sources]
# The keys are published as gpg exports them.
ocpd-archive-keyring: openpgp-file-has-implementation-specific-extension [usr/share/keyrings/ocpd-archive-keyring.gpg]
END
cat <<END | gzip -9n >"$doc/changelog.gz"
ocpd-archive-keyring ($version) $codename; urgency=medium

  * The keys that sign the ocpd repository as of this version.

 -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END

cat >"$tree/DEBIAN/control" <<END
Package: ocpd-archive-keyring
Version: $version
Architecture: all
Maintainer: $maintainer
Installed-Size: $(find "$tree/usr" "$tree/etc" -type f -printf '%s\n' | awk '{ n += $1 } END { print int(n / 1024) + 1 }')
Section: misc
Priority: optional
Multi-Arch: foreign
Description: keys and address of the ocpd package repository
 The public keys that sign the repository of ocpd and ocpctl, and the file that
 tells apt where it is. A key is replaced by an upgrade of this package.
END
(cd "$tree" && find usr etc -type f -exec md5sum {} + | LC_ALL=C sort -k 2) >"$tree/DEBIAN/md5sums"

find "$tree" -type f -exec chmod 644 {} +
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$tree" "$folder/$codename.deb" >/dev/null
