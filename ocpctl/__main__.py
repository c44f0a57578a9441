"""argv in, exit code out."""

import sys

from ocpctl.version import VERSION


def main() -> int:
    """Run ocpctl with the arguments of this process; returns the exit code."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"ocpctl {VERSION}\n")
        return 0
    from ocpctl.cli import run  # noqa: PLC0415 - --version is answered without it

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
