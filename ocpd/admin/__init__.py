"""The back door: what an operator may see and change, over a Unix socket or with the admin key.

The words of this room:

- **route**: one row of the table in ``routes``: method, path, access, handler. The same table is
  mounted on the Unix socket and on the TCP port; who comes through which is judged per request.
- **access**: how much a route asks for (``Access``), beside its path in the table.
- **actor**: who asks, as far as the kernel, a key or the address says. Every change is written
  under its actor into the **audit** log.
- **desk**: where settings are changed: checked as a whole, kept, then applied at once.
- **plan**: how much of the subscription is used, as the CLI last said; every value has its age.

What travels is in ``wire``. The same noun stands in every room: ``admin.keys`` answers for
``store.keys``.
"""
