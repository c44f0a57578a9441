"""Promise: only the path decides; whatever the target is, there is a match or a reason."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpd.errors import BadRequest
from ocpd.http.router import Match, MethodNotAllowed, NotFound, Route, Router, normalise_path


async def list_models(exchange): ...
async def get_model(exchange): ...
async def get_newest(exchange): ...
async def chat(exchange): ...
async def health(exchange): ...


ROUTER = Router(
    [
        Route("GET", "/v1/models/{id}", get_model),
        Route("GET", "/v1/models/newest", get_newest),
        Route("GET", "/v1/models", list_models),
        Route("POST", "/v1/chat/completions", chat),
        Route("GET", "/health", health),
        Route("DELETE", "/keys/{key}/quota/{period}", health),
    ]
)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/v1/models", "/v1/models", ""),
        ("/v1/models?x=1&y=%zz?", "/v1/models", "x=1&y=%zz?"),
        ("//v1//models/", "/v1/models", ""),
        ("/", "/", ""),
        ("///", "/", ""),
        ("http://host:1/v1/models/?q", "/v1/models", "q"),
        ("HTTPS://host", "/", ""),
        ("http://host?q=/x", "/", "q=/x"),
        ("*", "*", ""),
        ("/caf%C3%A9%20x", "/café x", ""),
        ("/a/../b", "/a/../b", ""),
        ("/%2e%2e", "/..", ""),
    ],
)
def test_a_target_is_split_decoded_and_normalised(target, path, query):
    assert normalise_path(target) == (path, query)


@pytest.mark.parametrize(
    "target",
    ["/%", "/%4", "/%zz", "/%ff", "/a%00b", "/a%0d%0ab", "here:443", "ftp://a/b", "x", "**"],
)
def test_a_target_that_cannot_be_is_a_bad_request(target):
    with pytest.raises(BadRequest) as caught:
        normalise_path(target)
    assert caught.value.status == 400


@given(st.text(alphabet=string.printable.strip() + "é"))
@settings(deadline=None, database=None)
def test_any_target_is_a_normal_path_or_a_bad_request(target):
    try:
        path, _ = normalise_path(target)
    except BadRequest:
        return
    assert path == "*" or path.startswith("/")
    assert "//" not in path
    assert path == "/" or not path.endswith("/")
    ROUTER.resolve("GET", path)


@pytest.mark.parametrize("path", ["/v1/models", "//v1/models", "/v1//models/", "/v1/models/"])
def test_slashes_too_many_make_no_difference(path):
    assert ROUTER.resolve("GET", path) == Match(list_models, {})


def test_a_name_in_a_pattern_matches_one_segment():
    assert ROUTER.resolve("GET", "/v1/models/opus") == Match(get_model, {"id": "opus"})
    assert isinstance(ROUTER.resolve("GET", "/v1/models/a/b"), NotFound)
    assert ROUTER.resolve("DELETE", "/keys/7/quota/day") == Match(
        health, {"key": "7", "period": "day"}
    )


def test_a_plain_segment_wins_over_a_name():
    assert ROUTER.resolve("GET", "/v1/models/newest") == Match(get_newest, {})


def test_head_is_answered_by_the_route_for_get():
    assert ROUTER.resolve("HEAD", "/health") == Match(health, {})
    assert ROUTER.resolve("HEAD", "/v1/models/a") == Match(get_model, {"id": "a"})


def test_another_method_hears_which_ones_there_are():
    assert ROUTER.resolve("PUT", "/health") == MethodNotAllowed(("GET", "HEAD"))
    assert ROUTER.resolve("HEAD", "/v1/chat/completions") == MethodNotAllowed(("POST",))


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/models/opus", "/v1/models/opus"),
        ("/v1/v1/models", "/v1/models"),
        ("/v1/health", "/health"),
        ("/nowhere", None),
        ("/v1/../health", None),
        ("*", None),
    ],
)
def test_a_missing_or_doubled_prefix_is_seen(path, nearest):
    assert ROUTER.resolve("GET", path) == NotFound(nearest)


@pytest.mark.parametrize("pattern", ["v1", "/v1/", "//v1"])
def test_a_pattern_that_no_path_can_match_is_refused(pattern):
    with pytest.raises(ValueError, match="normalised"):
        Router([Route("GET", pattern, health)])


def test_two_routes_for_the_same_thing_are_refused():
    with pytest.raises(ValueError, match="two routes for GET /a"):
        Router([Route("GET", "/a", health), Route("GET", "/a", chat)])


def test_the_paths_are_listed_once_and_sorted():
    assert ROUTER.paths[0] == "/health"
    assert len(ROUTER.paths) == 6
