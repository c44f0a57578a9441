"""Promise: no bytes make a connection crash or hang, and how they are cut does not matter."""

import re
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ocpd.http.exchange import Exchange
from ocpd.http.message import json_response
from tests.unit.http.stage import Stage, breathe, run

CONVERSATIONS = [
    b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n" * 3,
    b"POST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello"
    b"GET /c HTTP/1.1\r\nhost: h\r\n\r\n",
    b"POST /d HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx-trailer: 1\r\n\r\nHEAD /e HTTP/1.1\r\nhost: h\r\n\r\n",
    b"POST /f HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
    b"POST /f HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    b"64\r\n" + b"x" * 100 + b"\r\n0\r\n\r\n",
    b"POST /f HTTP/1.1\r\nhost: h\r\ncontent-length: 60\r\n\r\n" + b"x" * 60,
    b"GET /g HTTP/1.0\r\n\r\n",
    b"GET /h HTTP/1.1\r\nhost: h\r\n\r\nnonsense\r\n\r\n",
    b"GET /%zz HTTP/1.1\r\nhost: h\r\n\r\n",
]


async def echo_some(exchange: Exchange) -> None:
    body = await exchange.read_body(50)
    path = exchange.request.path.encode()
    await exchange.respond(json_response(200, path + b":" + body))


async def converse(pieces: list[bytes]) -> bytes:
    async with Stage(echo_some) as stage:
        for piece in pieces:
            stage.feed(piece)
            await breathe()
        return await stage.settle()


def without_date(sent: bytes) -> bytes:
    return re.sub(rb"date: [^\r]*", b"date", sent)


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[a:b] for a, b in pairwise(edges)]


@given(st.sampled_from(CONVERSATIONS), st.lists(st.integers(0, 10_000), max_size=12))
@settings(deadline=None, database=None)
def test_cuts_do_not_matter(raw, places):
    async def main():
        whole = await converse([raw])
        pieces = await converse(cut(raw, places))
        assert without_date(pieces) == without_date(whole)

    run(main(), debug=False)


def test_cuts_at_every_byte_do_not_matter():
    async def main():
        for raw in CONVERSATIONS:
            whole = await converse([raw])
            pieces = await converse([raw[i : i + 1] for i in range(len(raw))])
            assert without_date(pieces) == without_date(whole)

    run(main(), debug=False)


TOKENS = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"HEAD ", b"/", b"/a?b", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"*"),
        *(b"host: h\r\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"abc"),
        *(b"expect: 100-continue\r\n", b"connection: close\r\n", b"upgrade: x\r\n", b"\r\n"),
        *(b"3\r\nabc\r\n", b"0\r\n\r\n", b"CONNECT h:1", b"\n", b"\0", b"%zz", b":", b" "),
    ]
)
NOISE = st.one_of(
    st.lists(st.binary(max_size=40), max_size=8),
    st.lists(TOKENS, max_size=40).map(lambda tokens: [b"".join(tokens)]),
    st.lists(TOKENS, max_size=40),
)


@given(NOISE)
@example([b"GET / HTTP/1.1\r\nhost: h\r\nupgrade: x\r\n\r\n", b"abc"])
@example([b"CONNECT h:1 HTTP/1.1\r\nhost: h\r\n\r\n", b"abc"])
@settings(deadline=None, database=None, max_examples=400)
def test_any_bytes_end_in_an_answer_or_a_close(pieces):
    async def main():
        async with Stage(echo_some) as stage:
            for piece in pieces:
                stage.feed(piece)
            stage.connection.eof_received()
            await stage.settle()
            assert stage.transport.is_closing()
            assert not stage.service.connections - {stage.connection}
        assert stage.service.connections == set()
        assert len(stage.nursery) == 0

    run(main(), debug=False)
