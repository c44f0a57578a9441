"""Pictures and files reach the upstream as they are, also in the history."""

import base64
import struct
import zlib
from typing import Any

import pytest

from tests.wire.conftest import OpenStage
from tests.wire.stage import Stage, quick

pytestmark = pytest.mark.real_cli


def png(width: int, height: int) -> str:
    """A picture that any decoder takes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + bytes([200, 30, 30]) * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


RED = png(8, 8)
PDF = base64.b64encode(b"%PDF-1.4\n%%EOF\n").decode()


def look(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]


def picture(data: str = RED) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def file(name: str, media_type: str, data: str) -> dict[str, Any]:
    uri = f"data:{media_type};base64,{data}"
    return {"type": "file", "file": {"filename": name, "file_data": uri}}


def blocks(stage: Stage, kind: str) -> list[dict[str, Any]]:
    """The blocks of one kind in the newest request, without cache marks."""
    found = []
    for message in stage.upstream.requests[-1].messages:
        if isinstance(message["content"], list):
            found += [b for b in message["content"] if b["type"] == kind]
    return [{k: v for k, v in block.items() if k != "cache_control"} for block in found]


def test_a_picture_arrives_byte_for_byte(stage: Stage) -> None:
    stage.ask(look(picture()))
    source = {"type": "base64", "media_type": "image/png", "data": RED}
    assert blocks(stage, "image") == [{"type": "image", "source": source}]


def test_a_picture_of_an_earlier_turn_stays_and_the_conversation_goes_on(stage: Stage) -> None:
    chat = look(picture())
    for text in ("And now?", "And then?"):
        answer = stage.ask(chat).choices[0].message.content
        chat += [{"role": "assistant", "content": answer}, {"role": "user", "content": text}]
    stage.ask(chat)
    assert len(blocks(stage, "image")) == 1
    assert stage.daemon.wait_quiet().processes.sources == {"spawned": 1, "continued": 2}


def test_a_picture_is_rebuilt_from_history(stage: Stage) -> None:
    chat = [*look(picture()), {"role": "assistant", "content": "Red."}]
    stage.ask([*chat, {"role": "user", "content": "Sure?"}])
    assert blocks(stage, "image")[0]["source"]["data"] == RED


def test_files_arrive_as_documents(stage: Stage) -> None:
    text = base64.b64encode(b"one line").decode()
    stage.ask(look(file("a.pdf", "application/pdf", PDF), file("b.txt", "text/plain", text)))
    pdf, plain = blocks(stage, "document")
    assert (pdf["source"]["media_type"], pdf["source"]["data"]) == ("application/pdf", PDF)
    assert (plain["source"]["type"], plain["source"]["data"]) == ("text", "one line")
    assert (pdf["title"], plain["title"]) == ("a.pdf", "b.txt")


def test_an_address_is_passed_on_only_if_the_operator_says_so(open_real: OpenStage) -> None:
    there = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/a.png"}}
    with open_real() as stage:
        error = stage.refusal(look(there))
        assert (error.status_code, error.code) == (400, "remote_url_disabled")
    with open_real(settings=quick(image_allow_url=True)) as stage:
        stage.ask(look(there))
        assert blocks(stage, "image")[0]["source"] == {
            "type": "url",
            "url": "http://127.0.0.1:1/a.png",
        }


@pytest.mark.parametrize(
    ("part", "status", "code"),
    [
        (picture("!!"), 400, "invalid_data_uri"),
        (picture(base64.b64encode(bytes(6_000_000)).decode()), 413, "image_too_large"),
        (file("a.zip", "application/zip", "AAAA"), 400, "unsupported_file_type"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_code(
    stage: Stage, part: dict[str, Any], status: int, code: str
) -> None:
    error = stage.refusal(look(part))
    assert (error.status_code, error.code) == (status, code)
    assert stage.upstream.requests == ()
