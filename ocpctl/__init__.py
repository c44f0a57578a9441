"""ocpctl: manages ocpd over its socket. It imports nothing of ocpd and knows only the wire.

It must start fast (``--help`` in under 30 ms as a frozen program), so what a command needs is
imported when it runs, and none of asyncio, msgspec, typing, dataclasses or http.client ever is.
``cli`` reads the command line, ``commands`` hold what it can say, ``client`` asks the daemon.
"""
