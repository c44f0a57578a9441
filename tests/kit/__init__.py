"""What tests, the demo and the benchmarks run against: a scripted API and two kinds of CLI.

``upstream`` is the Messages API on loopback that plays a script (``script``, ``canned``), refuses
what the documented API refuses (``checks``) and writes down what came (``journal``).
``cli`` starts the real Claude CLI against it. ``fake_claude`` is a CLI that misbehaves on request.
``leaks`` notices what a test left behind. Only ``daemon`` and ``demo`` import ocpd: the rest must
be able to disagree with it.
"""
