"""Processes: finding the CLI, starting it, feeding it, stopping it. What to keep is decided in
``sched.staffing``; what bytes mean in ``claude``.
"""
