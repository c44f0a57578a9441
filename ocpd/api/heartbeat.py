"""Something to hear on a stream that has nothing to say: many clients and proxies between give up
on silence.

What may live here: when a stream says that it is alive. The first time commits the status.
"""

import asyncio

from ocpd.http.exchange import Exchange, State
from ocpd.http.flow import Alarm

Head = tuple[tuple[str, str], ...]


class Heartbeat:
    """One timer of one stream, and no task: a thousand may wait. Begins with ``start``; ``stop`` it
    in any case. ``head`` are the headers that the first beat commits to; replace them until then.
    """

    def __init__(self, exchange: Exchange, sound: bytes, interval_s: float, head: Head) -> None:
        self.head = head
        self._exchange = exchange
        self._sound = sound
        self._interval_s = interval_s
        self._alarm = Alarm(asyncio.get_running_loop())

    def start(self) -> None:
        """Beat after each interval of silence from now on; never, if the interval is 0."""
        if self._interval_s > 0:
            self._alarm.set(self._interval_s, self._beat)

    def stop(self) -> None:
        """Be silent for good."""
        self._alarm.close()

    def _beat(self) -> None:
        if self._exchange.state is State.READING:
            self._exchange.begin_nowait(200, self.head)
        if self._exchange.state is State.STREAMING:
            self._exchange.write_nowait(self._sound)
            self.start()
