"""Translators between a foreign API and the one language inside (``ocpd.turn``).

``interface`` has the two faces every dialect shows; each dialect is a folder of ``wire`` (structs
exactly as that API writes them), ``decode`` (body bytes to Turn) and ``encode`` (events to bytes).
Dialects never import each other. All of it is pure.
"""
