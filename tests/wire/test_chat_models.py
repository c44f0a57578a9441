"""Which model answers: names, pass-through of unlisted ids, and what is refused."""

from contextlib import ExitStack

import openai
import pytest

from tests.kit.script import Hang
from tests.wire.conftest import OpenStage
from tests.wire.stage import Caller, Stage, quick

pytestmark = pytest.mark.real_cli

LISTED = "claude-sonnet-5-5"
NEW_MODELS = {f"claude-test-model-{at}": 64_000 for at in (1, 2, 3)}


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("opus", "claude-opus-5-5"),
        ("claude-code-cli/Haiku", "claude-haiku-5-5"),
        ("claude-local/claude-haiku-4-5", "claude-haiku-4-5-20251001"),
    ],
)
def test_a_name_runs_the_model_it_means(stage: Stage, name: str, canonical: str) -> None:
    assert stage.ask("hello", model=name).model == canonical
    assert stage.heard().body["model"] == canonical


def test_a_model_that_is_not_listed_passes_through(stage: Stage) -> None:
    stage.upstream.know_models(NEW_MODELS)
    answer = stage.ask("hello", model="claude-test-model-1", max_tokens=9)
    assert answer.model == "claude-test-model-1"
    assert {r.body["model"] for r in stage.upstream.requests} == {"claude-test-model-1"}
    assert [r.body["max_tokens"] for r in stage.upstream.requests if not r.probe] == [9]


def test_a_model_that_is_not_listed_never_gets_a_spare(open_real: OpenStage) -> None:
    with open_real(settings=quick(spares=1)) as stage:
        stage.upstream.know_models(NEW_MODELS)
        stage.ask("hello", model="claude-test-model-1")
        stage.ask("hello", model="sonnet")
        stage.assert_at_rest()
        stage.wait_report(lambda r: r.processes.parked == {LISTED: 1})


def hang(stage: Stage, model: str) -> Caller:
    stage.upstream.script(Hang(after=1))
    caller = stage.call("hello", model=model, stream=True)
    caller.read_until(b"Hello")
    return caller


def test_a_third_model_that_is_not_listed_must_wait_for_the_first_two(stage: Stage) -> None:
    stage.upstream.know_models(NEW_MODELS)
    with ExitStack() as callers:
        for name in ("claude-test-model-1", "claude-test-model-2"):
            callers.enter_context(hang(stage, name))
        error = stage.refusal("hello", model="claude-test-model-3")
        assert (error.status_code, error.code) == (429, "too_many_unlisted_models")
        assert int(error.response.headers["retry-after"]) >= 1
        # Another turn of one of the two is welcome, and so is a listed model.
        assert stage.ask("hello", model="claude-test-model-2").model == "claude-test-model-2"
        assert stage.ask("hello", model="sonnet").model == LISTED
    stage.assert_at_rest()
    assert stage.ask("hello", model="claude-test-model-3").model == "claude-test-model-3"


def test_a_model_that_the_upstream_does_not_know_is_404(stage: Stage) -> None:
    error = stage.refusal("hello", model="claude-of-tomorrow")
    assert isinstance(error, openai.NotFoundError)
    assert (error.code, error.param) == ("model_not_found", "model")
    assert "claude-of-tomorrow" in str(error)


def test_a_name_that_nobody_knows_is_404_with_the_names_that_are_known(stage: Stage) -> None:
    error = stage.refusal("hello", model="gpt-5")
    assert isinstance(error, openai.NotFoundError)
    assert (error.code, error.param) == ("model_not_found", "model")
    for name in ("sonnet", "opus", "haiku", LISTED, "claude-haiku-4-5"):
        assert name in str(error)
    assert stage.upstream.requests == ()


def test_a_slip_of_the_pen_is_answered_with_what_was_meant(stage: Stage) -> None:
    assert "did you mean 'sonnet'" in str(stage.refusal("hello", model="sonet"))


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_unknown_names_may_run_the_default_and_the_answer_says_so(
    open_real: OpenStage, streamed: bool
) -> None:
    with open_real(settings=quick(unknown_model="default", default_model="haiku")) as stage:
        page = stage.post("hello", model="gpt-5", stream=streamed)
        assert page.status == 200
        assert '"model":"claude-haiku-5-5"' in page.text
        assert stage.heard().body["model"] == "claude-haiku-5-5"


def test_a_request_without_a_model_runs_the_default(open_real: OpenStage) -> None:
    with open_real(settings=quick(default_model="claude-haiku-4-5")) as stage:
        assert stage.post("hello", model=None).json()["model"] == "claude-haiku-4-5-20251001"


@pytest.mark.parametrize("model", ["", "   ", 5, True, ["sonnet"], {}])
def test_a_model_that_is_no_name_is_400(stage: Stage, model: object) -> None:
    page = stage.post("hello", model=model)
    assert page.status == 400
    assert (page.error["param"], page.error["type"]) == ("model", "invalid_request_error")


@pytest.mark.parametrize("model", ["claude-x --debug", "claude-x\n", "claude-", "claude-é", "-p"])
def test_only_what_looks_like_a_model_id_can_reach_a_command_line(stage: Stage, model: str) -> None:
    assert stage.post("hello", model=model).status == 404
    assert stage.daemon.report().processes.spawned == 0
