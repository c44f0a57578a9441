"""What a child is started with comes from the settings, and of the environment only what is named.

No variable that could redirect the child, or make it bill somebody else, is ever inherited.
"""

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpd.claude.argv import PASSED, Lane, build_argv, build_environment
from ocpd.claude.make import Parts, make_of, read_make
from ocpd.turn.request import ALL_TOOLS

LANE = Lane()

NEVER_INHERITED = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_MODEL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "PROXY_API_KEY",
    "OCPD_STATE_DIR",
    "OCP_ADMIN_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_EXTRA_BODY",
    "CLAUDE_CODE_SIMPLE",
    "CLAUDE_CODE_USE_BEDROCK",
    "NODE_OPTIONS",
    "LD_PRELOAD",
    "INVOCATION_ID",
    "NOTIFY_SOCKET",
)


def environment(environ: dict[str, str], lane: Lane = LANE) -> dict[str, str]:
    return build_environment(environ, lane=lane, version="1.2.3", cli_max_retries=2)


def test_the_command_is_exactly_this() -> None:
    assert build_argv("/opt/claude", "claude-sonnet-5-5") == (
        *("/opt/claude", "--input-format", "stream-json", "--output-format", "stream-json"),
        *("--verbose", "--include-partial-messages", "--tools", "", "--strict-mcp-config"),
        *("--allowedTools", "mcp__c", "--settings", '{"attribution":{"commit":"","pr":""}}'),
        *("--setting-sources", "", "--no-session-persistence"),
        *("--thinking-display", "summarized", "--model=claude-sonnet-5-5"),
    )


def test_a_turn_has_no_way_into_the_command() -> None:
    assert list(inspect.signature(build_argv).parameters) == ["binary", "make"]
    told = inspect.signature(build_environment).parameters
    assert list(told) == [
        *("environ", "lane", "version", "cli_max_retries", "structured_max_attempts")
    ]


@pytest.mark.parametrize("model", ["--dangerous", "-p", "a,b", "=", ""])
def test_a_model_is_never_read_as_a_flag_of_its_own(model: str) -> None:
    argv = build_argv("claude", model)
    assert argv[-1] == f"--model={model}"
    assert argv[:-1] == build_argv("claude", "x")[:-1]


@pytest.mark.parametrize(
    ("parts", "tools", "allowed", "is_unasked"),
    [
        (Parts("m"), "", "mcp__c", False),
        (Parts("m", ("Bash", "Read")), "Bash,Read", "mcp__c,Bash,Read", False),
        (Parts("m", ("Read",), is_unasked=True), "Read", "mcp__c,Read", True),
        (Parts("m", ALL_TOOLS, is_unasked=True), "default", "mcp__c", True),
    ],
)
def test_the_cli_has_those_of_its_tools_that_the_operator_named(
    parts: Parts, tools: str, allowed: str, is_unasked: bool
) -> None:
    assert read_make(make_of(parts)) == parts
    argv = build_argv("claude", make_of(parts))
    assert argv[argv.index("--tools") + 1] == tools
    assert argv[argv.index("--allowedTools") + 1] == allowed
    assert ("--dangerously-skip-permissions" in argv) is is_unasked
    assert ("--disallowedTools" in argv) is (parts.tools == ALL_TOOLS)
    assert argv[-1] == "--model=m"


@pytest.mark.parametrize("name", NEVER_INHERITED)
def test_what_could_redirect_a_child_is_not_inherited(name: str) -> None:
    assert name not in environment({name: "x", "PATH": "/bin"})


@pytest.mark.parametrize("name", [*sorted(PASSED), "LC_ALL", "LC_CTYPE"])
def test_what_a_child_needs_is_inherited_as_it_is(name: str) -> None:
    assert environment({name: " x=y "})[name] == " x=y "


def test_what_is_not_set_is_not_made_up() -> None:
    assert set(environment({})) == {
        "CLAUDE_AGENT_SDK_CLIENT_APP",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "DISABLE_AUTOUPDATER",
        "DISABLE_AUTO_COMPACT",
        "CLAUDE_CODE_TOTAL_TOKENS_REMINDER",
        "CLAUDE_CODE_MAX_RETRIES",
        "MAX_STRUCTURED_OUTPUT_RETRIES",
        # For the caller's tools.
        "CLAUDE_AGENT_SDK_MCP_NO_PREFIX",
        "CLAUDE_CODE_MAX_MCP_DESCRIPTION_LENGTH",
        "CLAUDE_CODE_MAX_TOOL_USE_CONCURRENCY",
        "CLAUDE_CODE_MCP_AUTO_BACKGROUND_MS",
        "CLAUDE_CODE_SDK_MCP_TOOL_IDLE_TIMEOUT",
        "ENABLE_TOOL_SEARCH",
        "MAX_MCP_OUTPUT_TOKENS",
        "MCP_TOOL_TIMEOUT",
        "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
    }


def test_the_child_says_who_started_it_and_how_often_it_may_retry() -> None:
    child = environment({"CLAUDE_CODE_MAX_RETRIES": "99", "CLAUDE_AGENT_SDK_CLIENT_APP": "x"})
    assert child["CLAUDE_AGENT_SDK_CLIENT_APP"] == "ocpd/1.2.3"
    assert child["CLAUDE_CODE_MAX_RETRIES"] == "2"


def test_the_lane_has_the_last_word() -> None:
    lane = Lane(environment=(("PATH", "/lane"), ("DISABLE_AUTOUPDATER", "0"), ("NEW", "1")))
    child = environment({"PATH": "/bin"}, lane)
    assert (child["PATH"], child["DISABLE_AUTOUPDATER"], child["NEW"]) == ("/lane", "0", "1")


NAMES = st.text(min_size=1, max_size=20) | st.sampled_from(sorted({*NEVER_INHERITED, *PASSED}))
ENVIRONMENTS = st.dictionaries(NAMES, st.text(max_size=20), max_size=30)


@given(ENVIRONMENTS)
def test_only_names_on_the_list_are_ever_inherited(environ: dict[str, str]) -> None:
    child = environment(environ)
    inherited = {name for name in child if name not in environment({})}
    assert inherited == {n for n in environ if n in PASSED or n.startswith("LC_")}
    assert all(child[name] == environ[name] for name in inherited)


@given(ENVIRONMENTS)
def test_how_the_cli_was_started_is_never_said_for_it(environ: dict[str, str]) -> None:
    assert "CLAUDE_CODE_ENTRYPOINT" not in environment(environ)


@given(ENVIRONMENTS, st.dictionaries(NAMES, st.text(max_size=20), max_size=5))
def test_the_lane_wins_over_every_environment(
    environ: dict[str, str], wanted: dict[str, str]
) -> None:
    child = environment(environ, Lane(environment=tuple(wanted.items())))
    assert child | wanted == child
