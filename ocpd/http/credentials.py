"""The tokens a request carries.

What may live here: where clients put them. Whether one is any good is decided by whoever knows it.
"""

from ocpd.http.message import Headers


def read_tokens(headers: Headers) -> tuple[str, ...]:
    """Return the tokens of ``Authorization: Bearer`` (in any case) and ``x-api-key``, in this
    order and each once: a client may send one in both places."""
    found: list[str] = []
    for value in headers.get_all("authorization"):
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            found.append(token.strip())
    found += [value.strip() for value in headers.get_all("x-api-key")]
    return tuple(dict.fromkeys(token for token in found if token))
