"""Promise: the scripted API plays what it is told and writes down what came, over real sockets."""

import http.client
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.kit.script import (
    Call,
    CallTools,
    Cut,
    ErrorEvent,
    Fail,
    Hang,
    PlanHeaders,
    Say,
    Usage,
    limit_reached,
)

HEADERS = {"authorization": "Bearer x", "anthropic-version": "2023-06-01"}
WITHIN_S = 10


def connect(upstream):
    return closing(http.client.HTTPConnection(urlsplit(upstream.url).netloc, timeout=WITHIN_S))


def body(text="hi", **more):
    messages = [{"role": "user", "content": text}]
    return {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1000,
        "stream": True,
        "messages": messages,
        **more,
    }


def post(client, **more):
    client.request("POST", "/v1/messages?beta=true", msgspec.json.encode(body(**more)), HEADERS)
    return client.getresponse()


def ask(upstream, **more):
    with connect(upstream) as client:
        response = post(client, **more)
        return response, response.read()


def read_into(got, response, *, stream):
    """Keep what came before the end, however that is reached."""
    while piece := response.read1() if stream else response.read():
        got += piece


def events(raw):
    found = []
    for frame in raw.decode().split("\n\n")[:-1]:
        name, data = re.fullmatch(r"event: (\w+)\ndata: (.*)", frame).groups()
        found.append(msgspec.json.decode(data))
        assert found[-1]["type"] == name
    return found


def kinds(raw):
    return [event["type"] for event in events(raw)]


def test_a_streamed_answer_is_a_message_of_the_api(upstream):
    upstream.script(Say(["Hel", "lo"], thinking="hm", usage=Usage(input_tokens=9)))
    response, raw = ask(upstream)
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert kinds(raw) == [
        "message_start",
        "content_block_start", "ping", "content_block_delta", "content_block_delta",
        "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    deltas = [e["delta"]["type"] for e in events(raw) if e["type"] == "content_block_delta"]
    assert deltas == ["thinking_delta", "signature_delta", "text_delta", "text_delta"]
    assert events(raw)[0]["message"]["usage"]["input_tokens"] == 9
    assert events(raw)[-2]["delta"]["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("reply", "types"),
    [
        (Say("Hello", thinking=["h", "m"]), ["thinking", "text"]),
        (CallTools([Call("a", {"x": 1}), Call("b", id="toolu_1")], text="t"),
         ["text", "tool_use", "tool_use"]),
        (CallTools([Call("a")]), ["tool_use"]),
        (Say(""), ["text"]),
    ],
)  # fmt: skip
def test_the_whole_answer_is_the_sum_of_the_streamed_one(upstream, reply, types):
    upstream.script(reply, reply)
    whole = msgspec.json.decode(ask(upstream, stream=False)[1])
    assert [block["type"] for block in whole["content"]] == types
    streamed = []
    for event in events(ask(upstream)[1]):
        if event["type"] == "content_block_start":
            streamed.append(event["content_block"])
        if event["type"] == "content_block_delta":
            add(streamed[-1], event["delta"])
        if event["type"] == "message_delta":
            assert event["delta"]["stop_reason"] == whole["stop_reason"]
            assert event["usage"]["output_tokens"] == whole["usage"]["output_tokens"]
    for block in streamed:
        if "json" in block:
            block["input"] = msgspec.json.decode(block.pop("json"))
    unnumbered = [
        [{**b, "id": "", "signature": ""} for b in m] for m in (streamed, whole["content"])
    ]
    assert unnumbered[0] == unnumbered[1]


def add(block, delta):
    field = {"partial_json": "json"}
    for name, piece in delta.items():
        if name != "type":
            at = field.get(name, name)
            block[at] = block.get(at, "") + piece


def test_replies_come_in_order_and_then_the_default(upstream):
    upstream.script(Fail(529), lambda request: Say(f"to {request.messages[0]['content']}"))
    upstream.script_default(Say("always"))
    assert ask(upstream)[0].status == 529
    assert b"to you" in ask(upstream, text="you")[1]
    assert b"always" in ask(upstream)[1]
    assert [r.messages[0]["content"] for r in upstream.requests] == ["hi", "you", "hi"]
    assert all(record.answered for record in upstream.wait_answered(3, WITHIN_S))
    upstream.forget()
    assert upstream.requests == ()


def test_a_connection_is_kept_and_takes_requests_sent_ahead(upstream):
    with connect(upstream) as client:
        for _ in range(3):
            assert post(client).read().endswith(b"\n\n")
    raw = msgspec.json.encode(body(stream=False))
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {len(raw)}\r\n"
    head += "authorization: Bearer x\r\nanthropic-version: 1\r\n\r\n"
    address = urlsplit(upstream.url)
    with socket.create_connection((address.hostname, address.port), timeout=WITHIN_S) as wire:
        wire.sendall((head.encode() + raw) * 20)
        got = b""
        while got.count(b'"end_turn"') < 20:
            piece = wire.recv(65536)
            assert piece
            got += piece
    assert got.count(b"HTTP/1.1 200") == 20


def test_refused_and_stray_requests_use_up_no_reply(upstream):
    upstream.script(Say("kept"))
    response, raw = ask(upstream, max_tokens=0)
    assert response.status == 400
    error = msgspec.json.decode(raw)
    assert error["type"] == "error"
    assert error["error"]["type"] == "invalid_request_error"
    assert upstream.requests[0].refusal == error["error"]["message"]
    with connect(upstream) as client:
        client.request("GET", "/v1/models")
        response = client.getresponse()
        assert response.status == 404
        assert msgspec.json.decode(response.read())["error"]["type"] == "not_found_error"
        client.request("HEAD", "/")
        response = client.getresponse()
        assert (response.status, response.read()) == (404, b"")
        client.request("POST", "/v1/messages", b"[]", HEADERS)
        response = client.getresponse()
        assert response.status == 400
        response.read()
        probe = {"model": "claude-opus-5-5", "max_tokens": 1, "messages": body()["messages"]}
        client.request("POST", "/v1/messages", msgspec.json.encode(probe), HEADERS)
        assert b'"max_tokens"' in client.getresponse().read()
    assert [stray.target for stray in upstream.strays] == ["/v1/models", "/"]
    assert upstream.requests[-1].probe
    assert b"kept" in ask(upstream)[1]


def test_models_can_be_made_known(upstream):
    assert ask(upstream, model="claude-next")[0].status == 404
    upstream.know_models({"claude-next": 10})
    assert ask(upstream, model="claude-next", max_tokens=10)[0].status == 200
    assert ask(upstream, model="claude-next", max_tokens=11)[0].status == 400


def test_failures_carry_the_types_of_the_api_and_their_headers(upstream):
    upstream.show_plan(PlanHeaders())
    upstream.script(Fail(401), Fail(418), Fail(503, "x_error", "gone fishing"), limit_reached(9))
    found = [ask(upstream) for _ in range(4)]
    errors = [msgspec.json.decode(raw)["error"] for _, raw in found]
    assert [error["type"] for error in errors] == [
        "authentication_error",
        "api_error",
        "x_error",
        "rate_limit_error",
    ]
    assert errors[2]["message"] == "gone fishing"
    assert "anthropic-ratelimit-unified-status" not in found[0][0].headers
    limited = found[3][0].headers
    assert limited["anthropic-ratelimit-unified-status"] == "rejected"
    assert limited["anthropic-ratelimit-unified-reset"] == "9"
    assert limited["retry-after"] == "3600"


def test_good_answers_carry_the_plan(upstream):
    assert "anthropic-ratelimit-unified-status" not in ask(upstream)[0].headers
    upstream.show_plan(
        PlanHeaders(
            five_hour_utilization=None,
            seven_day_utilization=0.9,
            seven_day_resets_at=7,
            seven_day_status="allowed_warning",
            claim="seven_day",
            surpassed_threshold=0.75,
        )
    )
    prefix = "anthropic-ratelimit-unified-"
    for stream in (True, False):
        headers = ask(upstream, stream=stream)[0].headers.items()
        assert {k.removeprefix(prefix): v for k, v in headers if k.startswith(prefix)} == {
            "status": "allowed_warning", "reset": "7", "representative-claim": "seven_day",
            "7d-status": "allowed_warning", "7d-reset": "7", "7d-utilization": "0.9",
            "7d-surpassed-threshold": "0.75",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (None, ["error"]),
        (0, ["message_start", "error"]),
        (1, ["message_start", "content_block_start", "ping", "content_block_delta", "error"]),
    ],
)
def test_an_error_can_come_inside_a_stream(upstream, after, expected):
    upstream.script(ErrorEvent("overloaded_error", "too much", after=after))
    raw = ask(upstream)[1]
    assert kinds(raw) == expected
    assert events(raw)[-1]["error"] == {"type": "overloaded_error", "message": "too much"}
    upstream.script(ErrorEvent("overloaded_error"))
    assert ask(upstream, stream=False)[0].status == 529


@pytest.mark.parametrize("how", ["reset", "fin"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_connection_can_be_cut_in_the_middle(upstream, how, stream):
    upstream.script(Cut(after=2, how=how))
    with connect(upstream) as client:
        response = post(client, stream=stream)
        expected = ConnectionResetError if how == "reset" else http.client.IncompleteRead
        got = bytearray()
        with pytest.raises(expected):
            read_into(got, response, stream=stream)
    if stream:
        assert got.count(b"text_delta") == 2
        assert b"message_stop" not in got
    assert upstream.wait_for_requests(1, WITHIN_S)[0].cut


def test_a_connection_can_be_cut_before_the_head(upstream):
    upstream.script(Cut(after=None, how="fin"), Cut(after=None))
    for expected in (http.client.RemoteDisconnected, ConnectionResetError):
        with pytest.raises(expected):
            ask(upstream)


@pytest.mark.parametrize("after", [None, 0, 2])
def test_a_silence_ends_when_released(upstream, after):
    upstream.script(Hang(after=after))
    with connect(upstream) as client:
        text = []

        def read():
            text.append(post(client).read())

        reader = threading.Thread(target=read)
        reader.start()
        record = upstream.wait_for_requests(1, WITHIN_S)[0]
        assert not record.answered
        upstream.release()
        reader.join()
    assert kinds(text[0])[-1] == "message_stop"
    assert text[0].count(b"text_delta") == 3
    assert record.answered
    assert record.gone_at is None


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_is_noticed(upstream, stream):
    upstream.script(Hang(after=1))
    client = http.client.HTTPConnection(urlsplit(upstream.url).netloc, timeout=WITHIN_S)
    client.request("POST", "/v1/messages", msgspec.json.encode(body(stream=stream)), HEADERS)
    record = upstream.wait_for_requests(1, WITHIN_S)[0]
    assert record.gone_at is None
    client.close()
    assert upstream.wait_gone(WITHIN_S) == (record,)
    assert record.gone_at >= record.at
    assert not record.answered


def test_a_pause_ends_when_the_client_leaves(upstream):
    upstream.script(Say(["a", "b"], delay_s=3600))
    with connect(upstream) as client:
        response = post(client)
        while b'"a"' not in response.read1():
            pass
        response.close()
    assert upstream.wait_gone(WITHIN_S)


def test_a_slow_reader_gets_everything(upstream):
    upstream.script(Say(["x" * 100_000] * 100))
    response, raw = ask(upstream)
    assert response.status == 200
    assert raw.count(b"x" * 100_000) == 100


def test_every_connection_can_be_dropped(upstream):
    upstream.script(Say(), Hang(after=None))
    with connect(upstream) as idle, connect(upstream) as waiting:
        post(idle).read()
        waiting.request("POST", "/v1/messages", msgspec.json.encode(body()), HEADERS)
        upstream.wait_for_requests(2, WITHIN_S)
        upstream.drop_all()
        for client in (idle, waiting):
            assert client.sock.recv(1) == b""
    assert upstream.requests[1].cut


def test_a_body_without_end_is_hung_up_on(upstream):
    address = urlsplit(upstream.url)
    with socket.create_connection((address.hostname, address.port), timeout=WITHIN_S) as wire:
        wire.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            wire.sendall(b"x" * (130 << 20))


def test_waiting_for_what_does_not_come_says_what_came(upstream):
    ask(upstream)
    with pytest.raises(TimeoutError, match=r"2 requests; there were \[Received\(claude-sonnet"):
        upstream.wait_for_requests(2, within_s=0.01)


def test_many_connections_at_once_are_answered(upstream):
    with closing_all([connect(upstream) for _ in range(100)]) as clients:
        for client in clients:
            client.request("POST", "/v1/messages", msgspec.json.encode(body()), HEADERS)
        assert all(b"message_stop" in client.getresponse().read() for client in clients)


class closing_all:  # noqa: N801 - reads like contextlib's
    def __init__(self, doors):
        self.doors = doors

    def __enter__(self):
        return [door.__enter__() for door in self.doors]

    def __exit__(self, *error):
        for door in self.doors:
            door.__exit__(*error)


@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "stdin"])
def test_it_serves_as_a_process_until_told_to_stop(end):
    with subprocess.Popen(
        [sys.executable, "-m", "tests.kit.upstream", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        url = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)[1]
        with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=WITHIN_S)) as client:
            assert b"canned" in post(client).read()
            if end == "stdin":
                process.stdin.close()
            else:
                process.send_signal(getattr(signal, end))
            assert process.wait(WITHIN_S) == 0
