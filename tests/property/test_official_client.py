"""The official ``openai`` package reads what we write, through a transport without a socket."""

from collections.abc import Iterator

import httpx2
import openai
import pytest

from ocpd.dialects.openai_chat.dialect import OPENAI_CHAT
from ocpd.errors import BadRequest, Overloaded, Upstream
from ocpd.turn.events import (
    Event,
    Failed,
    Finished,
    ReasoningDelta,
    Settled,
    Started,
    StopReason,
    TextDelta,
    Usage,
)
from tests.property.test_dialect_laws import encode, make_turn

USAGE = Usage(input_tokens=10, cache_read_tokens=20, output_tokens=7, reasoning_tokens=3)
ANSWER: list[Event] = [
    Started("m"),
    ReasoningDelta("let me see"),
    TextDelta("Hé\u2028llo"),
    TextDelta(' "🙂"\n'),
    Finished(StopReason.MAX_TOKENS, USAGE),
    Settled(USAGE, 0.1),
]


@pytest.fixture
def answers() -> Iterator[list[tuple[int, str, bytes]]]:
    """Answers waiting for the official client, first come first served."""
    queue: list[tuple[int, str, bytes]] = []
    yield queue
    assert not queue, "an answer was not asked for"


@pytest.fixture
def client(answers: list[tuple[int, str, bytes]]) -> Iterator[openai.OpenAI]:
    """The official client, strict about types, with a transport that hands out ``answers``."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        status, content_type, content = answers.pop(0)
        return httpx2.Response(status, headers={"content-type": content_type}, content=content)

    with openai.OpenAI(
        api_key="unused",
        base_url="http://ocpd.invalid/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        _strict_response_validation=True,
    ) as made:
        yield made


def ask(stream: bool) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}


def test_the_official_client_reads_a_stream(
    client: openai.OpenAI, answers: list[tuple[int, str, bytes]]
) -> None:
    turn = make_turn(stream=True, include_usage=True)
    answers.append((200, "text/event-stream", b"".join(encode(OPENAI_CHAT, turn, ANSWER))))
    with client.chat.completions.create(**ask(stream=True)) as stream:
        chunks = list(stream)
    said = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in said) == 'Hé\u2028llo "🙂"\n'
    assert [getattr(delta, "reasoning_content", None) for delta in said][1] == "let me see"
    assert chunks[-2].choices[0].finish_reason == "length"
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (30, 7, 37)
    assert usage.prompt_tokens_details.cached_tokens == 20
    assert usage.completion_tokens_details.reasoning_tokens == 3


def test_the_official_stream_helper_folds_what_we_fold(
    client: openai.OpenAI, answers: list[tuple[int, str, bytes]]
) -> None:
    streamed = encode(OPENAI_CHAT, make_turn(stream=True), [*ANSWER[:-2], finish_well()])
    folded = encode(OPENAI_CHAT, make_turn(stream=False), [*ANSWER[:-2], finish_well()])
    answers.append((200, "text/event-stream", b"".join(streamed)))
    answers.append((200, "application/json", b"".join(folded)))
    messages = [{"role": "user", "content": "hi"}]
    with client.chat.completions.stream(model="m", messages=messages) as stream:
        gathered = stream.get_final_completion()
    whole = client.chat.completions.create(**ask(stream=False))
    assert gathered.choices[0].message.content == whole.choices[0].message.content
    assert gathered.choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == 37
    assert whole.choices[0].message.reasoning_content == "let me see"


def finish_well() -> Finished:
    return Finished(StopReason.END_TURN, USAGE)


def test_the_official_client_hears_of_a_stream_that_broke(
    client: openai.OpenAI, answers: list[tuple[int, str, bytes]]
) -> None:
    broken = [Started("m"), TextDelta("Hel"), Failed(Upstream("it failed", code="upstream"))]
    written = encode(OPENAI_CHAT, make_turn(stream=True), broken)
    answers.append((200, "text/event-stream", b"".join(written)))
    said = []
    with (
        pytest.raises(openai.APIError, match="it failed") as caught,
        client.chat.completions.create(**ask(stream=True)) as stream,
    ):
        said.extend(chunk.choices[0].delta.content for chunk in stream)
    assert (caught.value.type, caught.value.code) == ("api_error", "upstream")


def test_the_official_client_hears_of_a_refusal(
    client: openai.OpenAI, answers: list[tuple[int, str, bytes]]
) -> None:
    answers.append((429, "application/json", OPENAI_CHAT.refusal(Overloaded("too many"))))
    answers.append((400, "application/json", OPENAI_CHAT.refusal(BadRequest("no", param="n"))))
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(**ask(stream=False))
    assert limited.value.type == "rate_limit_error"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ask(stream=False))
    assert (refused.value.param, refused.value.type) == ("n", "invalid_request_error")
