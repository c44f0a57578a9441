#!/bin/sh
# Pins packaging/locks/*.in into *.lock, for every platform and with hashes: make lock
#
#     make lock                              what the .in files changed, nothing else
#     make lock ARGS=--upgrade               the newest of everything
#     make lock ARGS="--upgrade-package h11" the newest of one
set -eu
cd "$(dirname "$0")/../locks"

uv=$(command -v uv || echo ../../.venv/bin/uv)
if ! [ -x "$uv" ]; then
    echo "make lock needs uv: pip install uv" >&2
    exit 1
fi

pin() {
    name=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-annotate "$@" --output-file "$name.lock" "$name.in"
}

pin build "$@"
pin run "$@"
pin dev "$@"
# Only the binary inside this one is used: what its Python side needs is of no interest.
pin cli --no-deps "$@"
