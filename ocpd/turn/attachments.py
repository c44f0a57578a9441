"""Pictures and files of a turn: how many, how large, and whether they can be what they say.

What may live here: the check of a whole turn. What a dialect calls them is the dialect's; what
becomes of them is ``claude.messages``'s.
"""

import binascii
from collections.abc import Iterator

import msgspec

from ocpd.errors import BadRequest
from ocpd.turn.request import Document, Image, ToolResult, Turn

PDF, PLAIN = "application/pdf", "text/plain"
_TEXTS = ("text/", "application/json", "application/xml")


class Caps(msgspec.Struct, frozen=True):
    """What a turn may carry: bytes of one, all together, how many; and whether addresses are
    passed on."""

    each: int = 5 * 1024 * 1024
    total: int = 20 * 1024 * 1024
    most: int = 20
    allow_url: bool = False


def check_attachments(turn: Turn, caps: Caps) -> None:
    """Raise BadRequest (400, or 413 for too many or too large) naming what does not fit."""
    total = 0
    for number, (path, part) in enumerate(_find(turn), 1):
        if number > caps.most:
            raise BadRequest(
                f"more than {caps.most} images and files in a request (setting maxImages)",
                status=413,
                code="too_many_images",
                param="messages",
            )
        size = _check_one(part, path, caps)
        total += size
        if total > caps.total:
            raise BadRequest(
                f"images and files take more than {caps.total} bytes together (setting "
                "maxImageTotalBytes)",
                status=413,
                code="images_too_large",
                param="messages",
            )


def text_of(document: Document) -> str | None:
    """Return the text of a text file; None for another kind. What is no UTF-8 is replaced."""
    if not document.media_type.startswith(_TEXTS):
        return None
    return binascii.a2b_base64(document.data).decode("utf-8", "replace")


def _find(turn: Turn) -> Iterator[tuple[str, Image | Document]]:
    for index, message in enumerate(turn.messages):
        path = f"messages[{index}].content"
        for part in message.parts:
            if isinstance(part, Image | Document):
                yield path, part
            elif isinstance(part, ToolResult):
                yield from ((path, each) for each in part.content if isinstance(each, Image))


def _check_one(part: Image | Document, path: str, caps: Caps) -> int:
    if part.data is None:
        if not caps.allow_url:
            raise BadRequest(
                f"{path}: addresses of images are not passed on (setting imageAllowUrl); send a"
                " data: URI",
                code="remote_url_disabled",
                param=path,
            )
        return 0
    size = _decoded_size(part.data, path)
    if size > caps.each:
        raise BadRequest(
            f"{path}: {size} bytes are more than {caps.each} (setting maxImageBytes)",
            status=413,
            code="image_too_large",
            param=path,
        )
    if isinstance(part, Document) and part.media_type != PDF and text_of(part) is None:
        raise BadRequest(
            f"{path}: {part.media_type[:64]!r} is neither {PDF} nor text",
            code="unsupported_file_type",
            param=path,
        )
    return size


def _decoded_size(data: str, path: str) -> int:
    try:
        return len(binascii.a2b_base64(data, strict_mode=True))
    except (binascii.Error, ValueError) as error:
        raise BadRequest(
            f"{path}: what follows base64, is not base64", code="invalid_data_uri", param=path
        ) from error
