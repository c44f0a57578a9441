"""ocpd: a Claude Pro/Max login as an HTTP API for one person's own tools and devices.

The house is described in docs/architecture.md. Floors only look down; a room is pure (no clock,
socket, disk, log) or has windows, never both.
"""
