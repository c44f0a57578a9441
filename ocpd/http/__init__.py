"""HTTP/1.1 on h11 over asyncio protocols: one connection, one exchange at a time, flow control both
ways, and the table of routes. Knows nothing of turns or the CLI.
"""
