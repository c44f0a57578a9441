"""The knobs of ocpd and where their values come from.

``knob`` is a row and the check of a value, ``table`` all the rows, ``values`` the frozen struct the
other rooms read, ``load`` which of several sources wins, ``foreign`` variables of other programs
that ocpd also answers to. All of it is pure: who reads files and the environment is the edge.
"""
