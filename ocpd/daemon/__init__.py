"""The composition root: build upward, run, drain, take down.

What may live here: knowing everybody. Rooms get what they need through their constructors, and
only ``house`` makes them; ``live`` lets them follow the settings while they run, ``chores`` is what
happens by itself from time to time.
"""
