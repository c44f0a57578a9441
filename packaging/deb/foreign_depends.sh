#!/bin/sh
# Says which packages the compiled files below a folder need, for an architecture whose libraries are
# not on this machine, where dpkg-shlibdeps would have nothing to ask.
#
#     sh packaging/deb/foreign_depends.sh FOLDER      prints a line for debian/*.substvars
set -eu
folder=$1

files=$(find "$folder" -name '*.so*' -type f)
needed=$(for file in $files; do readelf -dW "$file"; done | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u)
glibc=$(for file in $files; do readelf -VW "$file"; done |
    grep -o 'GLIBC_[0-9][0-9.]*' | cut -d_ -f2 | sort -uV | tail -n 1)

depends="libc6 (>= $glibc)"
for library in $needed; do
    case $library in
        ld-linux-* | libc.so.6 | libm.so.6 | libpthread.so.0 | librt.so.1 | libdl.so.2 | libutil.so.1) ;;
        libgcc_s.so.1) depends="$depends, libgcc-s1 (>= 4.2)" ;;
        *)
            echo "foreign_depends: $library: which package has it? Add it here." >&2
            exit 1
            ;;
    esac
done
echo "shlibs:Depends=$depends"
