#!/bin/sh
# Makes dist/apt, a signed apt repository of everything in dist/deb: make apt-repo
#
#     make apt-repo APT_KEY=FINGERPRINT APT_URL=https://ADDRESS
#
#   APT_KEY              the secret key that signs, in $GNUPGHOME; several may sign, "OLD NEW"
#   APT_KEYS             the public keys that clients are to trust; if unset, those of APT_KEY
#   APT_URL              where dist/apt will be served; it goes into the .sources files
#   APT_KEYRING_VERSION  of the keyring package; if unset, the time of the last commit
#   APT_DEBS, APT_OUT    other folders than dist/deb and dist/apt
#
# dist/apt is made anew each time, with one version of each package. Nothing in it is secret.
set -eu
umask 022
cd "$(dirname "$0")/../.."
debs=${APT_DEBS:-dist/deb}
out=${APT_OUT:-dist/apt}
key=${APT_KEY:-}
keys=${APT_KEYS:-$key}
url=${APT_URL:-}

# Codename, and what the version of its own keyring package ends with. They sort like the releases.
releases="bookworm+deb12 trixie+deb13"

say() { echo "make apt-repo: $*" >&2; }

refuse_without_key() {
    say "$1"
    cat >&2 <<'END'
  The repository is signed with a key that you keep. To make one, once, in a folder of its own:
    export GNUPGHOME=$HOME/.ocpd-archive-key && mkdir -m 700 "$GNUPGHOME"
    gpg --quick-generate-key 'ocpd archive <you@your.domain>' ed25519 sign 3y
    gpg --list-secret-keys --with-colons | awk -F: '/^fpr/ { print $10; exit }'
  Then give the fingerprint that this printed:
    make apt-repo APT_KEY=FINGERPRINT APT_URL=ADDRESS
  Keep a copy of that folder off this machine: without it the key can only be replaced by hand,
  on every machine that has the old one. docs/packaging.md says how to rotate it.
END
    exit 1
}

check() {
    for tool in reprepro gpg dpkg-deb; do
        command -v "$tool" >/dev/null && continue
        say "$tool is missing. Debian, Ubuntu: apt install reprepro gnupg dpkg"
        exit 1
    done
    set -- "$debs"/*.deb
    [ -e "$1" ] || { say "there is no package in $debs: make deb"; exit 1; }
    [ -n "$key" ] || refuse_without_key "APT_KEY names no key."
    for one in $key; do
        gpg --batch --list-secret-keys "$one" >/dev/null 2>&1 ||
            refuse_without_key "the secret key $one is not in ${GNUPGHOME:-$HOME/.gnupg} (GNUPGHOME)."
    done
    for one in $keys; do
        gpg --batch --list-keys "$one" >/dev/null 2>&1 && continue
        say "APT_KEYS names $one, which is not in ${GNUPGHOME:-$HOME/.gnupg}: gpg --import it"
        exit 1
    done
    case $url in
        http://?* | https://?* | file:///?*) ;;
        *)
            say "APT_URL=$url is no address (https://...): it is where dist/apt will be served."
            exit 1
            ;;
    esac
}

check
url=${url%/}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
version=${APT_KEYRING_VERSION:-$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y.%m.%d.%H%M)}

set -- "$debs"/*.deb
maintainer=$(dpkg-deb --field "$1" Maintainer)

mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work"
mkdir "$work/conf" "$work/site" "$work/site/keyring"

# Every key signs: then it does not matter which of them a client has.
# shellcheck disable=SC2086 # one word for each key
{
    echo '#!/bin/sh'
    printf 'exec_gpg() { gpg --batch --yes%s "$@"; }\n' "$(printf ' --local-user %s' $key)"
    echo '[ -z "$2" ] || exec_gpg --clear-sign --output "$2" "$1" || exit 1'
    echo '[ -z "$3" ] || exec_gpg --armor --detach-sign --output "$3" "$1" || exit 1'
} >"$work/conf/sign"
chmod 755 "$work/conf/sign"

# shellcheck disable=SC2086
gpg --batch --export --export-options export-minimal $keys \
    >"$work/site/keyring/ocpd-archive-keyring.gpg"

for release in $releases; do
    codename=${release%+*}
    cat >>"$work/conf/distributions" <<END
Origin: ocpd
Label: ocpd
Codename: $codename
Architectures: amd64 arm64
Components: main
Description: ocpd for Debian $codename
SignWith: ! sign

END
    sed -e "s|@URL@|$url|" -e "s|@CODENAME@|$codename|" packaging/apt/ocpd.sources.in \
        >"$work/site/keyring/$codename.sources"
    sh packaging/apt/keyring.sh "$version+${release#*+}" "$work/site/keyring" "$codename" \
        "$maintainer"
done

for release in $releases; do
    codename=${release%+*}
    reprepro --silent --basedir "$work" --outdir "$work/site" includedeb "$codename" \
        "$debs"/*.deb "$work/site/keyring/$codename.deb"
done

rm -rf "$out"
mv "$work/site" "$out"
echo "$out: $(find "$out/pool" -name '*.deb' | wc -l) packages for" \
    "$(echo "$releases" | sed 's/+[^ ]*//g'), to be served at $url"
