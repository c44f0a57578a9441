"""Each failure knows its status, what a caller may hear, and what only the log may."""

import pytest

from ocpd.errors import (
    BadRequest,
    Bug,
    Died,
    Gone,
    HistoryRefused,
    OcpdError,
    Overloaded,
    QuotaExceeded,
    QuotaFacts,
    Refused,
    Unauthorized,
    Upstream,
)

FAMILY: dict[type[OcpdError], tuple[int, str | None]] = {
    BadRequest: (400, None),
    Unauthorized: (401, None),
    Refused: (403, None),
    Overloaded: (429, None),
    Upstream: (502, None),
    Died: (502, "cli_died"),
    HistoryRefused: (502, "history_refused"),
    Gone: (499, "client_closed_request"),
}


def subclasses(kind: type[OcpdError]) -> set[type[OcpdError]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_the_family_is_complete() -> None:
    assert {k for k in subclasses(OcpdError) if k.__module__ == "ocpd.errors"} == {
        OcpdError,
        Bug,
        QuotaExceeded,
        *FAMILY,
    }


@pytest.mark.parametrize("kind", FAMILY)
def test_each_failure_has_its_status_and_code(kind: type[OcpdError]) -> None:
    error = kind("what happened")
    assert (error.status, error.code) == FAMILY[kind]
    assert (error.message, str(error)) == ("what happened", "what happened")
    assert (error.param, error.retry_after_s, error.retry_at, error.detail) == (
        None,
        None,
        None,
        "",
    )


def test_a_quota_that_is_reached_says_which() -> None:
    facts = QuotaFacts("daily", 5, 6, "2h 0m")
    error = QuotaExceeded("enough", facts, retry_after_s=7, headers=(("a", "b"),))
    assert isinstance(error, Overloaded)
    assert (error.status, error.code, error.kind) == (429, "quota_exceeded", "quota_exceeded")
    assert (error.quota, error.retry_after_s, error.headers) == (facts, 7, (("a", "b"),))
    assert (Overloaded("no").quota, Overloaded("no").kind, Overloaded("no").headers) == (
        None,
        None,
        (),
    )


def test_a_failure_may_know_better() -> None:
    error = Overloaded(
        "later",
        status=503,
        code="overloaded",
        param="model",
        retry_after_s=5,
        retry_at=10.0,
        detail="secret",
    )
    assert (error.status, error.code, error.param) == (503, "overloaded", "model")
    assert (error.retry_after_s, error.retry_at, error.detail) == (5, 10.0, "secret")


def test_one_failure_s_facts_are_not_another_s() -> None:
    BadRequest("a", status=404, code="x")
    assert (BadRequest("b").status, BadRequest("b").code) == (400, None)


def test_a_status_of_zero_is_a_status() -> None:
    assert Upstream("odd", status=0).status == 0


def test_a_process_that_died_is_an_upstream_failure() -> None:
    assert isinstance(Died("gone"), Upstream)


def test_a_bug_tells_the_caller_nothing_about_itself() -> None:
    bug = Bug("KeyError: 'secret'")
    assert (bug.status, bug.code, bug.detail) == (500, "internal_error", "KeyError: 'secret'")
    assert "secret" not in bug.message + str(bug) + repr(bug)


def test_a_failure_shows_in_a_log_what_it_is() -> None:
    assert repr(BadRequest("no", code="x", detail="d")) == "BadRequest(400, x, 'no')"
