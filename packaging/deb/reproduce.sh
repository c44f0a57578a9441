#!/bin/sh
# Builds the packages twice, in two folders, under another time zone, language and umask the second
# time, and says whether the bytes are the same.
#
#     sh packaging/deb/reproduce.sh           DEB_ARCH=arm64 as for make deb
set -eu
cd "$(dirname "$0")/../.."
one=build/deb/first
two=build/deb/second/elsewhere

rm -rf build/deb/first build/deb/second
DEB_WORK=$one DEB_OUT=$one/out sh packaging/deb/build.sh
(
    umask 027
    TZ=Pacific/Chatham LC_ALL=C.UTF-8 DEB_WORK=$two DEB_OUT=$two/out sh packaging/deb/build.sh
)

different=0
for file in "$one"/out/*; do
    name=$(basename "$file")
    if cmp -s "$file" "$two/out/$name"; then
        echo "the same: $name"
    else
        echo "different: $name"
        different=1
    fi
done
exit $different
