#!/bin/sh
# Freezes ocpctl into dist/ocpctl/ocpctl and has the result say what each of its commands does.
#
#     sh packaging/ocpctl/build.sh            PYTHON=/path/to/python chooses one that has PyInstaller
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}

PYTHONPATH=. "$python" -m PyInstaller --noconfirm --clean --log-level WARN \
    --distpath dist --workpath build/ocpctl packaging/ocpctl/ocpctl.spec

frozen=dist/ocpctl/ocpctl
"$frozen" --version
"$frozen" --help >build/ocpctl/help.txt
# A module that is missing is only missed when it is imported: each command once.
"$frozen" completion bash >build/ocpctl/ocpctl.bash
cmp build/ocpctl/ocpctl.bash packaging/completions/ocpctl.bash
sed -n 's/^  \([a-z-]*\)  .*/\1/p' build/ocpctl/help.txt | while read -r word; do
    "$frozen" "$word" --help >/dev/null
done
du -sh dist/ocpctl
