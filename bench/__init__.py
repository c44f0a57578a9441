"""Benchmarks: side by side in one run, on the real CLI with a scripted upstream. Never asserted.

``python -m bench`` runs all; ``stage`` starts and measures processes, ``client`` asks, the other
modules are one comparison each.
"""
