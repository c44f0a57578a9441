#!/bin/sh
# Makes .venv, or brings it up to date with the locks that are named: build, run, dev, cli.
#
#     sh packaging/dev/venv.sh build run dev
#
# Needs a Python of 3.11 or newer that has venv, and nothing else. PYTHON=/path/to/python3 chooses
# one. A lock that is installed is copied into .venv: while the copy is the same there is nothing
# to do, so a second run costs a few milliseconds.
set -eu
cd "$(dirname "$0")/../.."
venv=.venv

say() { echo "ocpd: $*" >&2; }

# A name on PATH may be a shim without a Python behind it: only running it tells.
is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }
identity() { "$1" -c 'import sys; print(sys.base_prefix, sys.version)'; }

refuse_old() {
    say "$1"
    say "  Debian, Ubuntu: apt install python3 python3-venv (Debian 12, Ubuntu 24.04 or newer)"
    say "  Homebrew:       brew install python"
    say "  or name one that is elsewhere: make PYTHON=/path/to/python3 ..."
    exit 1
}

refuse_without_venv() {
    say "$1 has no venv and ensurepip, which make ocpd's own place for its packages."
    say "  Debian, Ubuntu: apt install python3-venv"
    say "  Homebrew:       brew install python (it has both)"
    exit 1
}

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || refuse_old "PYTHON=$PYTHON is no Python of 3.11 or newer."
        has_venv "$PYTHON" || refuse_without_venv "$PYTHON"
        python=$PYTHON
        return
    fi
    without=
    for python in python3.14 python3.13 python3.12 python3.11 python3; do
        is_new_enough "$python" || continue
        if has_venv "$python"; then return; fi
        without=${without:-$python}
    done
    [ -z "$without" ] || refuse_without_venv "$without"
    refuse_old "No Python of 3.11 or newer was found."
}

# Not there, half made, copied from elsewhere, or its Python gone or replaced: all the same to us.
is_usable() {
    [ -x "$venv/bin/python" ] &&
        "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1 &&
        { [ -z "${PYTHON:-}" ] || [ "$(identity "$PYTHON")" = "$(identity "$venv/bin/python")" ]; }
}

install() {
    lock=packaging/locks/$1.lock
    options=
    case $1 in
        build) say "installing what builds packages" ;;
        run)
            say "installing what ocpd needs to run"
            # sdnotify comes as source only. In isolation pip would build it with whatever
            # setuptools is newest; so it is built with the one that build.lock names by hash.
            options=--no-build-isolation
            ;;
        dev) say "installing the tools of development" ;;
        cli)
            say "fetching the official Claude CLI: one download of 166 MB, into $venv"
            # Of this package only the binary inside is used.
            options=--no-deps
            ;;
    esac
    # Whatever else pip should do here is the environment's to say (PIP_*).
    # shellcheck disable=SC2086 # no option is no word
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check \
        --require-hashes $options -r "$lock" || {
        say "$lock could not be installed; pip says why above."
        [ "$1" != cli ] || say "A Claude Code of your own will do: CLAUDE_BIN=/path/to/claude make run"
        exit 1
    }
    cp "$lock" "$venv/$1.lock"
}

if ! is_usable; then
    choose_python
    say "making $venv with $python"
    "$python" -m venv --clear "$venv"
fi
for name; do
    cmp -s "packaging/locks/$name.lock" "$venv/$name.lock" || install "$name"
done
