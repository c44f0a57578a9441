"""``ocpctl logs``."""

import json  # noqa: TID251 - what programs read

import pytest

from ocpctl.commands.logs import read_frames
from ocpctl.failures import Failure
from tests.unit.ocpctl.fake_daemon import answered

ENTRIES = [
    {
        "ts": "2026-11-21T11:00:00.123Z",
        "level": "error",
        "event": "request_timeout",
        "model": "claude-opus-4-7",
        "elapsed_ms": 600000,
        "client": "a\x1b[2Jb",
    },
    {"raw": "x" * 300},
    {"ts": "2026-11-21T11:00:01Z", "level": "warn", "event": "claude_exit"},
]

SHOWN = (
    "2026-11-21T11:00:00 | ERROR | request_timeout | claude-opus-4-7"
    " | elapsed_ms=600000 client=a\ufffd[2Jb\n"
    + "x" * 200
    + "\n2026-11-21T11:00:01 | WARN | claude_exit\n"
)


def _stream(*pieces):
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return [head, *(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]


def test_twenty_errors_are_shown_unless_something_is_said(ctl, daemon):
    body = {"count": 3, "level": "error", "entries": ENTRIES}
    daemon.answers["GET /logs?n=20&level=error"] = answered(body)
    assert ctl("logs") == (0, SHOWN, "")
    assert json.loads(ctl("logs", "--json").out) == body


@pytest.mark.parametrize(
    ("argv", "query"),
    [
        (("5",), "n=5&level=error"),
        (("warn",), "n=20&level=warn"),
        (("5", "warning"), "n=5&level=warn"),
        (("5", "all"), "n=5&level=all"),
        (("all", "5"), "n=5&level=all"),
        (("500", "debug"), "n=500&level=debug"),
    ],
)
def test_number_and_level_may_come_in_any_order(ctl, daemon, argv, query):
    daemon.answers[f"GET /logs?{query}"] = answered({"entries": []})
    said = ctl("logs", *argv)
    assert said.code == 0
    assert said.out.startswith("No ")


@pytest.mark.parametrize(
    "argv", [("0",), ("501",), ("fatal",), ("5", "6"), ("warn", "error"), ("²",), ("1.5",)]
)
def test_what_is_neither_is_a_mistake(ctl, daemon, argv):
    assert ctl("logs", *argv).code == 2
    assert daemon.heard == []


@pytest.mark.parametrize("argv", [("-f", "5"), ("5", "-f"), ("5", "--follow")])
def test_following_shows_entries_as_they_come_until_the_end(ctl, daemon, argv):
    frames = [f"data: {json.dumps(entry)}\n\n".encode() for entry in ENTRIES]
    whole = b": hello\n\n" + b"".join(frames) + b"data: not json\n\n"
    daemon.answers["GET /logs?n=5&level=all&follow=1"] = _stream(whole[:9], whole[9:50], whole[50:])
    said = ctl("logs", *argv)
    assert said.code == 0
    assert said.out == SHOWN + "not json\n"
    assert said.err == "ocpctl: ocpd ended the log: it is stopping, or restarting\n"


def test_for_programs_each_entry_is_one_line(ctl, daemon):
    frames = [f"data: {json.dumps(entry)}\n\n".encode() for entry in ENTRIES]
    daemon.answers["GET /logs?n=20&level=warn&follow=1"] = _stream(*frames)
    said = ctl("logs", "-f", "warn", "--json")
    assert [json.loads(line) for line in said.out.splitlines()] == ENTRIES


def test_ctrl_c_ends_following_quietly(ctl, daemon, monkeypatch):
    def interrupt(_pieces):
        raise KeyboardInterrupt

    daemon.answers["GET /logs?n=20&level=all&follow=1"] = _stream(b"data: {}\n\n")
    monkeypatch.setattr("ocpctl.commands.logs.read_frames", interrupt)
    assert ctl("logs", "-f") == (130, "", "")


@pytest.mark.parametrize("cut", range(1, 12))
def test_frames_do_not_care_where_they_are_cut(cut):
    text = "data: ä1\r\n\r\n: note\nevent: x\ndata:2\ndata: 3\n\ndata: lost".encode()
    pieces = [text[at : at + cut] for at in range(0, len(text), cut)]
    assert list(read_frames(pieces)) == ["ä1", "2\n3"]


def test_a_line_without_an_end_is_not_gathered_forever():
    with pytest.raises(Failure, match="without an end"):
        list(read_frames([b"x" * 600_000, b"x" * 600_000]))
