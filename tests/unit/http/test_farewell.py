"""Promise: a client that still sends is listened out, within bounds; one that takes nothing is
cut off."""

import pytest

from ocpd.http.farewell import LINGER_BYTES, LINGER_PAUSE_S, LINGER_S, Farewell
from ocpd.http.flow import Alarm, Flow
from tests.unit.http.stage import FakeLoop, FakeTransport, run


class Scene:
    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.transport = FakeTransport()
        self.farewell = Farewell(self.transport, Flow(self.transport), Alarm(self.loop))


def play(act) -> None:
    async def main():
        act(Scene())

    run(main())


def test_lingering_shuts_our_side_and_ends_when_the_client_is_silent():
    def act(scene: Scene) -> None:
        scene.farewell.linger()
        assert scene.transport.is_shut
        scene.farewell.ignore(1000)
        scene.loop.advance(LINGER_PAUSE_S - 0.1)
        assert not scene.transport.was_aborted
        scene.loop.advance(0.2)
        assert scene.transport.was_aborted

    play(act)


def test_lingering_ends_after_a_while_even_if_the_client_goes_on():
    def act(scene: Scene) -> None:
        scene.farewell.linger()
        for _ in range(int(LINGER_S)):
            assert not scene.transport.was_aborted
            scene.farewell.ignore(1)
            scene.loop.advance(1)
        assert scene.transport.was_aborted

    play(act)


def test_lingering_ends_after_many_bytes():
    def act(scene: Scene) -> None:
        scene.farewell.linger()
        scene.farewell.ignore(LINGER_BYTES)
        assert not scene.transport.was_aborted
        scene.farewell.ignore(1)
        assert scene.transport.was_aborted

    play(act)


def test_a_dead_transport_is_not_lingered_over():
    def act(scene: Scene) -> None:
        scene.transport.close()
        scene.farewell.linger()
        assert not scene.transport.is_shut

    play(act)


@pytest.mark.parametrize("taken", [0, 1])
def test_closing_waits_only_for_a_client_that_takes_something(taken):
    def act(scene: Scene) -> None:
        scene.transport.buffered = 100
        scene.farewell.close()
        scene.transport.buffered -= taken
        scene.loop.advance(LINGER_PAUSE_S)
        assert scene.transport.was_aborted == (taken == 0)
        scene.loop.advance(LINGER_PAUSE_S)
        assert scene.transport.was_aborted

    play(act)


def test_a_reset_needs_a_socket_but_not_badly():
    def act(scene: Scene) -> None:
        scene.farewell.reset()
        assert scene.transport.was_aborted

    play(act)
