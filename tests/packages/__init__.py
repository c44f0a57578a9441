"""The packages, installed by a person's commands on a Debian with a real systemd.

Not part of a plain pytest run: `make test-packages` builds what these need and names it in
OCPD_TEST_PACKAGES (a folder with the packages, made by packaging/test/run.sh).
"""
