"""Parts of a message."""

import pytest

from ocpd.turn.blank import is_blank
from ocpd.turn.request import Document, Image, Part, Role, Text, ToolResult
from tests.unit.dialects.openai_chat.asking import PIXEL, QUESTION, converse, decode, refuse


def read(*parts: object) -> tuple[Part, ...]:
    (message,) = converse({"role": "user", "content": list(parts)})
    assert message.role is Role.USER
    return message.parts


def refuse_part(part: object) -> tuple[str | None, str | None]:
    refusal = refuse(messages=[QUESTION, {"role": "user", "content": ["", part][1:]}])
    return refusal.param, refusal.code


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
def test_every_name_of_text_is_text(kind: str) -> None:
    assert read({"type": kind, "text": " a\n"}) == (Text(" a\n"),)


def test_blank_texts_leave_no_part() -> None:
    blank = [{"type": "text", "text": text} for text in ("", " ", "\n\t\u2003")]
    assert read(*blank, {"type": "text", "text": "a"}) == (Text("a"),)


JS_BLANKS = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What JavaScript's trim() takes away: the CLI is written in it."""


@pytest.mark.parametrize("blank", [*JS_BLANKS, JS_BLANKS * 2])
def test_what_the_cli_takes_for_blank_is_blank(blank: str) -> None:
    assert is_blank(blank)
    assert refuse(messages=[{"role": "user", "content": blank}]).param == "messages[0].content"
    assert refuse(prompt=blank, messages=None).param == "prompt"
    assert read({"type": "text", "text": blank}, {"type": "text", "text": "a"}) == (Text("a"),)
    assert not is_blank(f"{blank}a{blank}")


@pytest.mark.parametrize("text", ["\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\u180e", "\u200b"])
def test_what_the_cli_takes_for_text_is_text(text: str) -> None:
    assert not is_blank(text)
    assert converse({"role": "user", "content": text})[0].parts == (Text(text),)


def test_cache_control_is_ignored() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    assert read({"type": "text", "text": "a"} | mark) == (Text("a"),)
    assert converse(QUESTION | mark)[0].parts == (Text("hi"),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "image_url", "image_url": PIXEL},
        {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
    ],
)
def test_a_picture_comes_as_a_data_uri(part: object) -> None:
    assert read(part) == (Image(media_type="image/png", data="iVBORw0KGgo="),)


def test_a_picture_comes_as_an_address() -> None:
    for url in ("https://host/a.png", "HTTP://host/a"):
        assert read({"type": "image_url", "image_url": {"url": url}}) == (Image(url=url),)


def test_words_of_a_data_uri_may_be_in_capitals_and_have_parameters() -> None:
    uri = "DATA:Image/PNG;name=a;Base64,QUJD"
    assert read({"type": "image_url", "image_url": uri}) == (
        Image(media_type="image/png", data="QUJD"),
    )


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://host/a", "unsupported_url_scheme"),
        ("", "unsupported_url_scheme"),
        ("data:image/png,abc", "invalid_data_uri"),
        ("data:image/png;base64,", "invalid_data_uri"),
        ("data:image/png;base64", "invalid_data_uri"),
        ("data:;base64,QUJD", "invalid_data_uri"),
        ("data:image/tiff;base64,QUJD", "unsupported_image_type"),
        ("data:text/html;base64,QUJD", "unsupported_image_type"),
    ],
)
def test_a_picture_that_cannot_be_read_is_refused_with_a_code(url: str, code: str) -> None:
    part = {"type": "image_url", "image_url": {"url": url}}
    assert refuse_part(part) == ("messages[1].content[0].image_url", code)


def test_a_picture_without_a_source_is_refused() -> None:
    path = "messages[1].content[0].image_url"
    assert refuse_part({"type": "input_image", "file_id": "x"}) == (path, "invalid_image_url")
    assert refuse_part({"type": "image_url", "image_url": {}}) == (f"{path}.url", None)


def test_a_file_comes_as_a_data_uri() -> None:
    file = {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}
    assert read({"type": "file", "file": file}) == (Document("application/pdf", "QUJD", "a.pdf"),)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "file"}, "file_data"),
        ({"type": "file", "file": {}}, "file_data"),
        ({"type": "file", "file": {"file_id": "f"}}, "file_id"),
        ({"type": "file", "file": {"file_data": "QUJD"}}, "file_data"),
    ],
)
def test_a_file_that_is_not_there_is_refused(part: object, field: str) -> None:
    assert refuse_part(part)[0] == f"messages[1].content[0].file.{field}"


@pytest.mark.parametrize("kind", ["input_audio", "video_url", "tool_result", ""])
def test_any_other_part_is_refused_by_name(kind: str) -> None:
    refusal = refuse(messages=[{"role": "user", "content": [{"type": kind}]}])
    assert refusal.param == "messages[0].content[0].type"
    assert repr(kind) in refusal.message


def test_a_part_without_type_or_text_is_refused() -> None:
    assert refuse_part({"text": "a"})[0] == "messages[1].content[0].type"
    assert refuse_part({"type": "text"})[0] == "messages[1].content[0].text"
    assert refuse_part({"type": "refusal"})[0] == "messages[1].content[0].refusal"


def test_only_users_and_tools_show_pictures() -> None:
    picture = [{"type": "image_url", "image_url": PIXEL}]
    for role in ("system", "assistant"):
        refusal = refuse(messages=[{"role": role, "content": picture}, QUESTION])
        assert refusal.param == "messages[0].content[0].type"
    answer = {"role": "tool", "tool_call_id": "1", "content": picture}
    (message,) = converse(answer)
    assert message.parts == (
        ToolResult("1", (Image(media_type="image/png", data="iVBORw0KGgo="),)),
    )


def test_a_tool_cannot_answer_with_a_file() -> None:
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}}
    refusal = refuse(messages=[{"role": "tool", "tool_call_id": "1", "content": [file]}])
    assert refusal.param == "messages[0].content"


def test_text_of_a_system_message_is_joined_byte_for_byte() -> None:
    parts = [{"type": "text", "text": text} for text in ("a ", "\n", "", "b")]
    assert decode(messages=[{"role": "system", "content": parts}, QUESTION]).system == "a \nb"
