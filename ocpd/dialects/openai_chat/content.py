"""The content of one message: a string, parts, or nothing.

What may live here: what each type of part becomes. ``at`` is the path of the content in the
request, for the refusal.
"""

from ocpd.dialects.openai_chat import wire
from ocpd.errors import BadRequest
from ocpd.turn.blank import is_blank
from ocpd.turn.request import Document, Image, Text

Content = str | list[wire.Part] | None

_TEXTS = frozenset({"text", "input_text", "output_text"})
_IMAGES = frozenset({"image_url", "input_image"})
_MEDIA_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})


def read_parts(content: Content, at: str) -> tuple[Text | Image | Document, ...]:
    """Read what a user may say: text, pictures, files. Blank texts leave no part. Raises
    BadRequest naming the part that does not fit."""
    if content is None or isinstance(content, str):
        return read_texts(content, at)
    parts: list[Text | Image | Document] = []
    for index, part in enumerate(content):
        if part.type in _IMAGES:
            parts.append(_read_image(part, f"{at}[{index}]"))
        elif part.type == "file":
            parts.append(_read_file(part, f"{at}[{index}]"))
        elif not is_blank(text := _read_text(part, at, index)):
            parts.append(Text(text))
    return tuple(parts)


def read_result(content: Content, at: str) -> tuple[Text | Image, ...]:
    """Read what a tool may answer: text and pictures. An empty answer is an answer."""
    found: list[Text | Image] = []
    for part in read_parts(content, at):
        if isinstance(part, Document):
            raise BadRequest(f"{at}: a tool cannot answer with a file", param=at)
        found.append(part)
    return tuple(found)


def read_texts(content: Content, at: str) -> tuple[Text, ...]:
    """Read what only holds text, part by part; blank ones leave no part."""
    if content is None or isinstance(content, str):
        return (Text(content),) if content and not is_blank(content) else ()
    texts = (_read_text(part, at, index) for index, part in enumerate(content))
    return tuple(Text(text) for text in texts if not is_blank(text))


def join_texts(content: Content, at: str) -> str:
    """Read what only holds text as one text, byte for byte, blank parts included."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(_read_text(part, at, index) for index, part in enumerate(content))


def _read_text(part: wire.Part, at: str, index: int) -> str:
    if part.type in _TEXTS:
        text, field = part.text, "text"
    elif part.type == "refusal":
        text, field = part.refusal, "refusal"
    else:
        path = f"{at}[{index}].type"
        raise BadRequest(f"{path}: {part.type[:64]!r} is not supported here", param=path)
    if text is None:
        path = f"{at}[{index}].{field}"
        raise BadRequest(f"{path}: required, but missing", param=path)
    return text


def _read_image(part: wire.Part, at: str) -> Image:
    path = f"{at}.image_url"
    source = part.image_url
    if source is None:
        raise BadRequest(f"{path}: required, but missing", code="invalid_image_url", param=path)
    url = source if isinstance(source, str) else source.url
    scheme = url[:8].lower()
    if scheme.startswith(("http://", "https://")):
        return Image(url=url)
    if not scheme.startswith("data:"):
        raise BadRequest(
            f"{path}: only data:, http: and https: URLs are understood",
            code="unsupported_url_scheme",
            param=path,
        )
    media_type, data = _split_data_uri(url, path)
    if media_type not in _MEDIA_TYPES:
        raise BadRequest(
            f"{path}: {media_type[:64]!r} is not one of {', '.join(sorted(_MEDIA_TYPES))}",
            code="unsupported_image_type",
            param=path,
        )
    return Image(media_type=media_type, data=data)


def _read_file(part: wire.Part, at: str) -> Document:
    file = part.file
    if file is None or file.file_data is None:
        if file is not None and file.file_id is not None:
            path = f"{at}.file.file_id"
            raise BadRequest(f"{path}: files are not stored here; send file_data", param=path)
        path = f"{at}.file.file_data"
        raise BadRequest(f"{path}: required, but missing", param=path)
    media_type, data = _split_data_uri(file.file_data, f"{at}.file.file_data")
    return Document(media_type=media_type, data=data, name=file.filename)


def _split_data_uri(uri: str, path: str) -> tuple[str, str]:
    head, _, data = uri.partition(",")
    kind = head.lower()
    media_type = kind[5:].partition(";")[0]
    if not (kind.startswith("data:") and kind.endswith(";base64") and media_type and data):
        raise BadRequest(
            f"{path}: expected data:<media type>;base64,<data>",
            code="invalid_data_uri",
            param=path,
        )
    return media_type, data
