"""Pictures and files: counted, measured, and looked at before anything is done with them."""

import base64

import pytest

from ocpd.errors import BadRequest
from ocpd.turn.attachments import Caps, check_attachments, text_of
from ocpd.turn.request import Document, Image, Message, Part, Role, Text, ToolResult, Turn, TurnId

CAPS = Caps(each=10, total=15, most=3)


def data(size: int) -> str:
    return base64.b64encode(b"x" * size).decode()


def image(size: int) -> Image:
    return Image("image/png", data(size))


def check(*parts: Part, caps: Caps = CAPS) -> None:
    messages = (Message(Role.USER, (Text("look"), *parts)),)
    check_attachments(Turn(id=TurnId("t"), model="m", messages=messages), caps)


def refusal(*parts: Part, caps: Caps = CAPS) -> tuple[int, str | None]:
    with pytest.raises(BadRequest) as caught:
        check(*parts, caps=caps)
    return caught.value.status, caught.value.code


def test_what_fits_passes() -> None:
    check(image(10), image(5), Document("application/pdf", data(0)))
    check(Document("text/markdown; charset=utf-8", data(3), "a.md"))


def test_what_is_too_much_is_413() -> None:
    assert refusal(image(11)) == (413, "image_too_large")
    assert refusal(image(8), image(8)) == (413, "images_too_large")
    assert refusal(*[image(1)] * 4) == (413, "too_many_images")


def test_pictures_in_tool_results_count() -> None:
    assert refusal(ToolResult("1", (image(11),))) == (413, "image_too_large")


@pytest.mark.parametrize("bad", ["!!!!", "QQ", "Q\nQ=", "QQ==QQ=="])
def test_what_is_no_base64_is_400(bad: str) -> None:
    assert refusal(Image("image/png", bad)) == (400, "invalid_data_uri")


def test_files_that_nobody_can_read_are_400() -> None:
    assert refusal(Document("application/zip", data(1))) == (400, "unsupported_file_type")


def test_addresses_are_passed_on_only_if_told_to() -> None:
    there = Image(url="https://example.com/a.png")
    assert refusal(there) == (400, "remote_url_disabled")
    check(there, caps=Caps(allow_url=True))


def test_a_text_file_is_its_text() -> None:
    assert text_of(Document("text/plain", base64.b64encode("ü\n".encode()).decode())) == "ü\n"
    assert text_of(Document("text/plain", base64.b64encode(b"\xff").decode())) == "\ufffd"
    assert text_of(Document("application/pdf", "AA==")) is None
