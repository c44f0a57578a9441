"""``ocpctl keys``."""

import json  # noqa: TID251 - what programs read

import pytest

from ocpctl.output import RULE
from tests.unit.ocpctl.fake_daemon import answered, refused


def _key(name, **more):
    told = {
        "id": 3,
        "keyPreview": "ocp_abcd...wxyz",
        "name": name,
        "created_at": "2026-11-21 11:00:00",
        "revoked": 0,
        "revoked_at": None,
        "expires_at": None,
        "models": None,
        "mcp_servers": None,
        "allowed_tools": None,
        "note": "",
        "last_used_at": None,
        "role": "user",
        "weight": None,
        "quota_daily": None,
        "quota_weekly": None,
        "quota_monthly": None,
    }
    return told | more


KEYS = {
    "keys": [
        _key("wife-laptop", expires_at="2999-01-01 00:00:00", models=["opus", "sonnet"]),
        _key("son-ipad", id=2, revoked=1, note="lost \x1b[31mit", mcp_servers=["files", "web"]),
        _key("guest", id=1, expires_at="2001-01-01T00:00:00Z", allowed_tools=["Read"]),
    ]
}

MADE = {"id": 4, "key": "ocp_secret", "name": "laptop"}


def test_the_list_shows_revoked_and_expired_ones_too(ctl, daemon):
    daemon.answers["GET /api/keys"] = answered(KEYS)
    said = ctl("keys")
    assert said.code == 0
    assert said.out == (
        f"API Keys\n{RULE}\n"
        "  wife-laptop         ocp_abcd...wxyz     ✓ active   2026-11-21 11:00:00"
        "  #3 · until 2999-01-01 00:00:00 · only opus, sonnet\n"
        "  son-ipad            ocp_abcd...wxyz     ✗ revoked  2026-11-21 11:00:00"
        "  #2 · MCP servers files, web · lost \ufffd[31mit\n"
        "  guest               ocp_abcd...wxyz     ✗ expired  2026-11-21 11:00:00"
        "  #1 · until 2001-01-01 00:00:00 · tools Read\n"
    )


def test_an_empty_list_says_how_to_make_the_first(ctl, daemon):
    daemon.answers["GET /api/keys"] = answered({"keys": []})
    assert ctl("keys").out.endswith("  No keys yet. Make one: ocpctl keys add NAME\n")


def test_json_is_the_daemons_own(ctl, daemon):
    daemon.answers["GET /api/keys"] = answered(KEYS)
    assert json.loads(ctl("keys", "--json").out) == KEYS


def test_a_new_key_is_shown_once(ctl, daemon):
    daemon.answers["POST /api/keys"] = answered(MADE, status=201)
    said = ctl("keys", "add", "laptop")
    assert said.code == 0
    assert said.out == (
        '✓ Key created for "laptop"\n'
        "  API Key: ocp_secret\n"
        "  Copy this key now — you won't see it again.\n"
        "\n"
        "  On the client: export OPENAI_API_KEY=ocp_secret\n"
    )
    assert daemon.last.json == {"name": "laptop"}
    assert json.loads(ctl("keys", "add", "laptop", "--json").out) == MADE


def test_what_is_said_of_a_key_is_sent_as_it_is_meant(ctl, daemon):
    daemon.answers["POST /api/keys"] = answered(MADE, status=201)
    ctl(
        *("keys", "add", 'a "b"', "--expires-in-days", "30"),
        *("--models", "opus, sonnet", "--mcp-servers", "files, web", "--note", "x"),
        *("--allowed-tools", "Read,Bash"),
    )
    assert daemon.last.json == {
        "name": 'a "b"',
        "expires_in_days": 30,
        "models": ["opus", "sonnet"],
        "mcp_servers": ["files", "web"],
        "allowed_tools": ["Read", "Bash"],
        "note": "x",
    }


def test_a_key_may_be_kept_from_all_servers_and_tools(ctl, daemon):
    daemon.answers["POST /api/keys"] = answered(MADE, status=201)
    ctl("keys", "add", "a", "--mcp-servers", "", "--allowed-tools", "")
    assert daemon.last.json == {"name": "a", "mcp_servers": [], "allowed_tools": []}


@pytest.mark.parametrize(
    ("option", "example"), [("--mcp-servers", "files,search"), ("--allowed-tools", "Read,Bash")]
)
@pytest.mark.parametrize("names", ["a,", ",", "a,,b"])
def test_a_list_with_a_hole_in_it_is_a_mistake(ctl, option, example, names):
    said = ctl("keys", "add", "a", option, names)
    assert said.code == 2
    assert f"is no list of names such as {example}" in said.err


@pytest.mark.parametrize(
    ("ref", "segment"),
    [
        ("laptop", "laptop"),
        ("17", "17"),
        ("wife's laptop", "wife%27s%20laptop"),
        ("a/../b", "a%2F..%2Fb"),
        ("..", "%2E%2E"),
        ("x?y", "x%3Fy"),
    ],
)
def test_any_name_reaches_the_daemon_whole(ctl, daemon, ref, segment):
    daemon.answers[f"DELETE /api/keys/{segment}"] = answered({"revoked": True, "idOrName": ref})
    daemon.answers[f"GET /api/keys/{segment}"] = answered(_key(ref))
    daemon.answers[f"GET /api/keys/{segment}/quota"] = answered({"limits": []})
    daemon.answers[f"PATCH /api/keys/{segment}"] = answered(_key("new"))
    daemon.answers[f"POST /api/keys/{segment}/rotate"] = answered(MADE)
    assert ctl("keys", "revoke", ref).out == f'✓ Key "{ref}" revoked\n'
    assert ctl("keys", "show", ref).code == 0
    assert ctl("keys", "rename", ref, "new").out == f'✓ Key "{ref}" is now "new"\n'
    assert daemon.last.json == {"name": "new"}
    assert '✓ Key rotated for "laptop"\n  API Key: ocp_secret\n' in ctl("keys", "rotate", ref).out


def test_revoking_what_is_not_there_is_a_failure(ctl, daemon):
    body = {"revoked": False, "idOrName": "nobody"}
    daemon.answers["DELETE /api/keys/nobody"] = answered(body)
    said = ctl("keys", "revoke", "nobody")
    assert said == (1, "", '✗ Key "nobody" not found or already revoked\n')
    said = ctl("keys", "revoke", "nobody", "--json")
    assert said.code == 1
    assert json.loads(said.out) == body


@pytest.mark.parametrize("verb", ["show", "rotate"])
def test_an_unknown_key_is_a_failure(ctl, daemon, verb):
    route = {"show": "GET /api/keys/x", "rotate": "POST /api/keys/x/rotate"}[verb]
    daemon.answers[route] = answered({"error": "Key not found"}, status=404)
    assert ctl("keys", verb, "x") == (1, "", "ocpctl: Key not found\n")


def test_a_name_that_is_taken_is_told(ctl, daemon):
    daemon.answers["PATCH /api/keys/a"] = refused("the name b is taken", 409)
    assert ctl("keys", "rename", "a", "b") == (1, "", "ocpctl: the name b is taken\n")


def test_one_key_is_shown_in_full_but_for_the_secret(ctl, daemon):
    limits = {"models": ["opus"], "mcp_servers": [], "quota_daily": 50}
    key = _key("laptop", note="kitchen", allowed_tools=["Bash", "Read"], **limits)
    daemon.answers["GET /api/keys/laptop"] = answered(key)
    quota = {
        "limits": [
            {"what": "requests", "period": "daily", "limit": 50, "used": 1},
            {"what": "requests", "period": "minute", "limit": 0, "used": 0},
            {"what": "tokens", "period": "daily", "limit": 1000, "used": 0},
            {"what": "cost", "period": "monthly", "limit": 5, "used": 0.1},
            {"what": "streams", "period": "at_once", "limit": 2, "used": 0},
            {"what": "requests", "period": "lifetime", "limit": 900, "used": 0},
        ]
    }
    daemon.answers["GET /api/keys/laptop/quota"] = answered(quota)
    said = ctl("keys", "show", "laptop")
    assert said.out == (
        "Name         laptop\n"
        "Number       3\n"
        "Key          ocp_abcd...wxyz\n"
        "State        ✓ active\n"
        "Role         user\n"
        "Weight       that of the role\n"
        "Created      2026-11-21 11:00:00\n"
        "Last used    never\n"
        "Expires      never\n"
        "Models       opus\n"
        "MCP servers  none\n"
        "Tools        Bash, Read\n"
        "Quota        daily 50, minute 0, tokens.daily 1000, cost.monthly $5.00, streams 2,"
        " lifetime 900\n"
        "Note         kitchen\n"
    )
    assert json.loads(ctl("keys", "show", "laptop", "--json").out) == key


@pytest.mark.parametrize(
    ("quota", "told"),
    [
        ({"limits": []}, "none"),
        ({"quota": {"daily": {"limit": 0, "used": 0}, "weekly": {"limit": None}}}, "daily 0"),
    ],
)
def test_a_key_without_limits_or_of_an_old_daemon_is_shown(ctl, daemon, quota, told):
    daemon.answers["GET /api/keys/laptop"] = answered(_key("laptop"))
    daemon.answers["GET /api/keys/laptop/quota"] = answered(quota)
    assert f"Quota        {told}\n" in ctl("keys", "show", "laptop").out


# Where a key stands.


def test_a_key_is_made_with_a_role_and_a_weight(ctl, daemon):
    daemon.answers["POST /api/keys"] = answered(MADE)
    assert ctl("keys", "add", "laptop", "--role", "batch", "--weight", "3").code == 0
    assert daemon.last.json == {"name": "laptop", "role": "batch", "weight": 3}


def test_a_key_is_given_another_place_in_the_queue(ctl, daemon):
    daemon.answers["PATCH /api/keys/laptop"] = answered(_key("laptop", role="owner", weight=7))
    said = ctl("keys", "set", "laptop", "--role", "owner", "--weight", "7")
    assert said.out == '✓ Key "laptop" is owner, weight 7\n'
    assert daemon.last.json == {"role": "owner", "weight": 7}


def test_a_key_that_is_set_to_nothing_is_a_misuse(ctl, daemon):
    assert ctl("keys", "set", "laptop").code == 2
    assert ctl("keys", "set", "laptop", "--weight", "0").code == 2
    assert ctl("keys", "set", "laptop", "--role", "king").code == 2
    assert daemon.heard == []


def test_the_list_tells_where_a_key_stands(ctl, daemon):
    daemon.answers["GET /api/keys"] = answered({"keys": [_key("nightly", role="batch", weight=3)]})
    assert "batch · weight 3" in ctl("keys").out
