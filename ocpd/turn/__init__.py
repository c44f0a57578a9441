"""The one language inside: a Turn is what a caller asks, an Event is what happens, an Outcome is
what became of it. Every dialect translates to and from these; nobody here knows HTTP or the CLI.
"""
