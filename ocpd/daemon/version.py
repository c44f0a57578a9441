"""The version of all of it.

What may live here: one number.
"""

VERSION = "0.1.0"
"""The same as pyproject's (a test compares). Not read from the package's metadata: that import
alone costs 3 MB and does not work in a checkout."""
