"""Promise: a server listens on just the addresses it is told, and moves without losing a stream."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Sequence

import pytest

from ocpd.http import ports
from ocpd.http.listener import Server
from ocpd.http.ports import CannotBind
from tests.unit.http.stage import GET, LOOPS, Client, calling, hello, make_limits, run

pytestmark = pytest.mark.parametrize("loop_factory", LOOPS)

HERE, THERE = "127.0.0.1", "127.0.0.2"


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


async def serves(host: str, port: int) -> bool:
    try:
        client = Client(*await asyncio.open_connection(host, port))
    except OSError:
        return False
    await client.send(GET)
    answer = await client.read_answer()
    await client.leave()
    return answer.status == 200


async def who_serves(hosts: Sequence[str], port: int) -> list[str]:
    return [host for host in hosts if await serves(host, port)]


def test_a_port_of_the_system_s_choice_is_the_same_for_all(loop_factory):
    async def main():
        async with Server(hello, make_limits()) as server:
            first, second = await server.listen([THERE, HERE], 0)
            assert (first[0], second[0]) == (THERE, HERE)
            assert first[1] == second[1] != 0
            assert await who_serves([HERE, THERE, "127.0.0.3"], first[1]) == [HERE, THERE]

    run(main(), loop_factory)


def test_both_families_can_be_listed_and_each_means_what_it_says(loop_factory):
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")

    async def main():
        async with Server(hello, make_limits()) as server:
            ((_, port),) = await server.listen(["::"], 0)
            assert await who_serves([HERE, "::1"], port) == ["::1"]
            both = await server.listen(["0.0.0.0", "::"], port)
            assert both == (("0.0.0.0", port), ("::", port))
            assert await who_serves([HERE, "::1"], port) == [HERE, "::1"]

    run(main(), loop_factory)


def test_what_stays_is_not_touched_and_streams_live_on(loop_factory):
    async def main():
        go = asyncio.Event()

        async def handler(exchange):
            await exchange.start(200, ())
            await exchange.write(b"a")
            if exchange.request.path == "/slow":
                await go.wait()
            await exchange.finish()

        async with Server(handler, make_limits()) as server:
            ((_, port),) = await server.listen([HERE], 0)
            async with calling(port) as slow:
                await slow.send(GET.replace(b"/x", b"/slow"))
                await slow.reader.readexactly(1)
                kept = server._ports._open.copy()
                await server.listen([HERE, THERE], port)
                assert kept.items() <= server._ports._open.items()
                await server.listen([THERE], port)
                assert await who_serves([HERE, THERE], port) == [THERE]
                go.set()
                await slow.reader.readuntil(b"0\r\n\r\n")

    run(main(), loop_factory)


def test_it_moves_between_one_address_and_all_on_the_same_port(loop_factory):
    async def main():
        async with Server(hello, make_limits()) as server:
            ((_, port),) = await server.listen(
                [
                    HERE,
                ],
                0,
            )
            await server.listen(["0.0.0.0"], port)
            assert await who_serves([HERE, THERE], port) == [HERE, THERE]
            await server.listen([HERE], port)
            assert await who_serves([HERE, THERE], port) == [HERE]

    run(main(), loop_factory)


def without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system be one that was started without IPv6: names still have such addresses."""
    make = socket.socket

    def refuse(family=-1, *rest, **more):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return make(family, *rest, **more)

    monkeypatch.setattr(ports.socket, "socket", refuse)


async def name_with_both(*_: object, **__: object):
    return [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (HERE, 0)),
    ]


def test_a_name_means_those_of_its_addresses_that_this_machine_has(loop_factory, monkeypatch):
    async def main():
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", name_with_both)
        without_ipv6(monkeypatch)
        async with Server(hello, make_limits()) as server:
            ((host, _),) = await server.listen(["both"], 0)
            assert host == HERE

    run(main(), loop_factory)


def test_a_family_that_the_system_does_not_have_is_refused_like_an_address(
    loop_factory, monkeypatch
):
    async def main():
        without_ipv6(monkeypatch)
        async with Server(hello, make_limits()) as server:
            ((_, port),) = await server.listen([HERE], 0)
            with pytest.raises(CannotBind, match="not supported") as caught:
                await server.listen([THERE, "::1"], port)
            assert caught.value.address == ("::1", port)
            assert await who_serves([HERE, THERE], port) == [HERE]

    run(main(), loop_factory)


@pytest.mark.parametrize(
    "wanted", [[THERE, "192.0.2.1"], ["192.0.2.1", THERE], [THERE, "a-long-name" * 30]]
)
def test_an_address_that_cannot_be_had_keeps_all_as_it_was(loop_factory, wanted):
    async def main():
        async with Server(hello, make_limits()) as server:
            ((_, port),) = await server.listen([HERE], 0)
            with pytest.raises(CannotBind) as caught:
                await server.listen(wanted, port)
            assert caught.value.address[0] in wanted
            assert caught.value.address[0] != THERE
            assert await who_serves([HERE, THERE], port) == [HERE]

    run(main(), loop_factory)


def test_who_stops_accepting_takes_no_other_address_either(loop_factory):
    async def main():
        async with Server(hello, make_limits()) as server:
            ((_, port),) = await server.listen([HERE], 0)
            server.stop_accepting()
            with pytest.raises(CannotBind, match="stopping"):
                await server.listen([THERE], port)
            assert await who_serves([HERE, THERE], port) == []

    run(main(), loop_factory)


def test_one_address_and_all_of_them_are_not_both_to_be_had(loop_factory):
    async def main():
        async with Server(hello, make_limits()) as server:
            ((_, port),) = await server.listen([HERE], 0)
            for wanted in (["0.0.0.0", HERE], [HERE, "0.0.0.0"]):
                with pytest.raises(CannotBind, match="exclude each other"):
                    await server.listen(wanted, port)
                assert await who_serves([HERE, THERE], port) == [HERE]

    run(main(), loop_factory)


def test_what_was_let_go_for_nothing_is_taken_back(loop_factory):
    async def main():
        with socket.create_server((THERE, 0)) as taken:
            port = taken.getsockname()[1]
            async with Server(hello, make_limits()) as server:
                await server.listen([HERE], port)
                with pytest.raises(CannotBind) as caught:
                    await server.listen(["0.0.0.0"], port)
                assert caught.value.errno == errno.EADDRINUSE
                assert await serves(HERE, port)

    run(main(), loop_factory)
