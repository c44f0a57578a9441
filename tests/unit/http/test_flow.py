"""Promise: brakes may be pulled twice, and the alarm rings once, when it was last set to."""

import asyncio

from ocpd.http.flow import Alarm, Flow
from tests.unit.http.stage import FakeLoop, FakeTransport, breathe, run


def test_an_alarm_rings_once_when_its_time_has_come():
    loop, rung = FakeLoop(), []
    alarm = Alarm(loop)
    alarm.set(5, lambda: rung.append("a"))
    loop.advance(4.9)
    assert rung == []
    loop.advance(0.2)
    loop.advance(10)
    assert rung == ["a"]


def test_moving_the_deadline_later_keeps_the_timer():
    loop, rung = FakeLoop(), []
    alarm = Alarm(loop)
    alarm.set(5, lambda: rung.append("early"))
    loop.advance(4)
    alarm.set(5, lambda: rung.append("late"))
    assert len(loop.timers) == 1
    loop.advance(1)
    assert rung == []
    loop.advance(4)
    assert rung == ["late"]


def test_moving_the_deadline_earlier_rings_earlier():
    loop, rung = FakeLoop(), []
    alarm = Alarm(loop)
    alarm.set(50, lambda: rung.append("late"))
    alarm.set(1, lambda: rung.append("early"))
    loop.advance(1)
    loop.advance(60)
    assert rung == ["early"]


def test_a_cleared_alarm_is_silent_and_can_be_set_again():
    loop, rung = FakeLoop(), []
    alarm = Alarm(loop)
    alarm.set(5, lambda: rung.append("a"))
    alarm.clear()
    loop.advance(6)
    assert rung == []
    alarm.set(1, lambda: rung.append("b"))
    loop.advance(1)
    assert rung == ["b"]
    assert alarm.now() == loop.now


def test_a_closed_alarm_leaves_no_timer():
    loop = FakeLoop()
    alarm = Alarm(loop)
    alarm.set(5, lambda: None)
    alarm.close()
    alarm.close()
    assert [timer for timer in loop.timers if not timer.is_cancelled] == []


def test_reading_is_paused_and_resumed_but_not_on_a_dead_transport():
    async def main():
        transport = FakeTransport()
        flow = Flow(transport)
        flow.pause_reading()
        flow.pause_reading()
        assert not transport.is_reading_on
        flow.resume_reading()
        assert transport.is_reading_on
        transport.close()
        flow.pause_reading()
        assert transport.is_reading_on

    run(main())


def test_a_writer_waits_exactly_while_writing_is_paused():
    async def main():
        flow = Flow(FakeTransport())
        await flow.drain()
        flow.pause_writing()
        waiting = asyncio.get_running_loop().create_task(flow.drain())
        await breathe()
        assert not waiting.done()
        flow.resume_writing()
        await waiting

    run(main())
