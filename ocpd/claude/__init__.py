"""How the Claude CLI is spoken to over its stream-json control protocol, without a pipe or a clock.

``argv`` builds the command and environment, ``claim`` the frames that make a parked process ours,
``lines`` cuts bytes into lines, ``wire`` decodes them, ``listener`` reads one turn's frames as
events, ``session`` is the conversation, ``lifecycle`` its table of states, ``faults`` what the
CLI's failures mean, ``version`` which CLIs are safe.
"""
