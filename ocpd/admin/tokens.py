"""Which tokens are known: the store's keys, and the admin key.

What may live here: asking the store, and an admin key that the service was started with.
"""

import hmac
from collections.abc import Sequence

from ocpd.store.keys import Keys
from ocpd.store.records import KeyRecord, digest_of


class KnownTokens:
    """Knows the store's keys; ``given`` are admin keys from the service's environment."""

    def __init__(self, keys: Keys, given: Sequence[str] = ()) -> None:
        self._keys = keys
        self._given = tuple(digest_of(key) for key in given)

    def __repr__(self) -> str:
        return f"KnownTokens({self._keys}, {len(self._given)} given)"

    def find(self, token: str) -> KeyRecord | None:
        """Return the key that ``token`` is, if it may be used."""
        return self._keys.find(token)

    def is_admin(self, token: str) -> bool:
        """Whether it is the admin key, in constant time."""
        digest = digest_of(token)
        same = [hmac.compare_digest(digest, known) for known in self._given]
        return any(same) or self._keys.is_admin(token)
