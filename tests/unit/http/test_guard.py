"""Promise: whatever a handler does, its caller is answered or cut off, and bugs are logged."""

import asyncio
import logging

import msgspec
import pytest

from ocpd.errors import Gone, Overloaded
from ocpd.http.message import Response
from tests.unit.http.stage import GET, Stage, breathe, run

SECRET = b"POST /x?key=secret HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nsecret"


def play(handler, request: bytes = GET) -> tuple[bytes, bool]:
    async def main():
        async with Stage(handler) as stage:
            stage.feed(request)
            return await stage.settle(), stage.transport.was_aborted

    return run(main())


def status_of(sent: bytes) -> int:
    return int(sent.split(b" ")[1])


async def fail_early(exchange):
    raise ZeroDivisionError("deep inside")


async def fail_late(exchange):
    await exchange.start(200, ())
    await exchange.write(b"half")
    raise ZeroDivisionError("deep inside")


async def stop_early(exchange):
    pass


async def stop_late(exchange):
    await exchange.start(200, ())


async def fail_afterwards(exchange):
    await exchange.respond(Response(200))
    raise ZeroDivisionError("deep inside")


async def send_nonsense(exchange):
    await exchange.respond(Response(200, (("x", "a\nb"),)))


@pytest.mark.parametrize("handler", [fail_early, stop_early, send_nonsense])
def test_a_bug_before_the_answer_is_a_500_and_one_line_in_the_log(handler, caplog):
    sent, was_aborted = play(handler, SECRET)
    assert status_of(sent) == 500
    assert not was_aborted
    assert b"deep inside" not in sent
    (record,) = caplog.records
    assert (record.name, record.message, record.levelno) == (
        "ocpd.http",
        "handler_failed",
        logging.ERROR,
    )
    assert (record.method, record.path) == ("POST", "/x")
    assert record.exc_info is not None
    assert "secret" not in caplog.text + str(record.__dict__)


@pytest.mark.parametrize("handler", [fail_late, stop_late])
def test_a_bug_in_the_middle_of_an_answer_cuts_it_off(handler, caplog):
    sent, was_aborted = play(handler)
    assert status_of(sent) == 200
    assert not sent.endswith(b"0\r\n\r\n")
    assert was_aborted
    assert [record.message for record in caplog.records] == ["handler_failed"]


def test_a_bug_after_the_answer_is_only_logged(caplog):
    sent, was_aborted = play(fail_afterwards)
    assert status_of(sent) == 200
    assert not was_aborted
    assert [record.message for record in caplog.records] == ["handler_failed"]


def test_a_failure_we_can_explain_is_explained_and_not_logged(caplog):
    async def handler(exchange):
        raise Overloaded("Full.", retry_after_s=7, code="queue_full")

    sent, _ = play(handler)
    head, _, body = sent.partition(b"\r\n\r\n")
    assert status_of(sent) == 429
    assert b"retry-after: 7" in head
    assert msgspec.json.decode(body)["error"]["code"] == "queue_full"
    assert caplog.records == []


def test_an_explained_failure_in_the_middle_cuts_the_answer_off(caplog):
    async def handler(exchange):
        await exchange.start(200, ())
        raise Overloaded("Full.")

    sent, was_aborted = play(handler)
    assert status_of(sent) == 200
    assert was_aborted
    assert caplog.records == []


def test_nobody_hears_that_the_caller_left(caplog):
    async def handler(exchange):
        raise Gone("He left.")

    sent, was_aborted = play(handler)
    assert sent == b""
    assert was_aborted
    assert caplog.records == []


def test_what_a_handler_says_after_its_caller_left_is_not_heard(caplog):
    async def handler(exchange):
        try:
            await asyncio.Event().wait()
        finally:
            raise Overloaded("Too late.")

    async def main():
        async with Stage(handler) as stage:
            stage.feed(GET)
            await breathe()
            stage.lose()
            assert await stage.settle() == b""

    run(main())
    assert caplog.records == []
