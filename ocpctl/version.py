"""The version of ocpctl, and nothing else: ``--version`` imports no more than this."""

VERSION = "0.1.0"
