"""How deep a JSON value is nested, without recursion: what is too deep breaks whoever walks it.

What may live here: that walk.
"""

MOST_LEVELS = 200
"""Deeper than anything that means something, and shallow enough for every walk and encoder."""


def survey(value: object) -> tuple[int, int]:
    """Return how deep ``value`` is nested, and how many keys its objects have."""
    depth = keys = 0
    level: list[object] = [value]
    while level:
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                keys += len(each)
                inner.extend(each.values())
            elif isinstance(each, list):
                inner.extend(each)
        level = inner
        depth += 1
    return depth, keys
