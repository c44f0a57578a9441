"""Text that says nothing.

What may live here: what that means.
"""

# White space and line ends as ECMAScript has them. Python's differ: it lacks the last of these,
# and has five controls that are text there.
_BLANKS = (
    "\t\n\v\f\r \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


def is_blank(text: str | None) -> bool:
    """Whether ``text`` says nothing: the API behind refuses a text block of white space, and the
    CLI before it leaves out what JavaScript's ``trim`` makes empty, and asks again for an answer
    of that kind."""
    return not text or (text[0] in _BLANKS and not text.lstrip(_BLANKS))


def is_trimmed(text: str) -> bool:
    """Whether JavaScript's ``trim`` would leave ``text`` as it is."""
    return text == text.strip(_BLANKS)
