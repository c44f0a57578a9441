"""The command line itself: help, mistakes, exit codes."""

import pytest

from ocpctl import cli
from ocpctl.failures import EXIT_CODES
from tests.unit.ocpctl.fake_daemon import answered, refused


def test_help_names_every_command_option_and_exit_code(ctl):
    said = ctl("--help")
    assert said.code == 0
    for word, _, summary in cli.TABLE:
        assert f"  {word} " in said.out
        assert summary in said.out
    for code, meaning in EXIT_CODES:
        assert f"  {code}  " in said.out
        assert meaning in said.out
    assert "--socket PATH" in said.out
    assert max(map(len, said.out.splitlines())) <= 100


def test_nothing_and_h_are_help_too(ctl):
    assert ctl() == ctl("-h") == ctl("--help")


def test_every_command_and_every_verb_has_help(ctl):
    for word, _, _ in cli.TABLE:
        said = ctl(word, "--help")
        assert said.code == 0
        assert said.out.startswith(f"usage: ocpctl {word}")
        assert ctl("help", word) == said
        for verb in cli.load_command(word):
            if verb:
                assert ctl(word, verb, "--help").out.startswith(f"usage: ocpctl {word} {verb}")
                assert f"ocpctl {word} {verb} " in said.out


def test_version_is_told_in_any_place_before_the_command(ctl):
    assert ctl("--version").out == "ocpctl 0.1.0\n"
    assert ctl("--json", "--version").out == "ocpctl 0.1.0\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["statsu"], "unknown command: statsu\n  did you mean status?"),
        (["xyzzy"], "unknown command: xyzzy\n  ocpctl --help lists them"),
        (["keys", "revok"], "unknown keys command: revok\n  did you mean revoke?"),
        (["keys", ""], "unknown keys command: "),
        (["--json"], "a command is missing"),
        (["--socket"], "a command is missing"),
        (["--colour", "usage"], "unknown command: --colour"),
        (["keys", "add"], "the following arguments are required: NAME"),
        (["keys", "add", "a", "b"], "unrecognized arguments: b"),
        (["keys", "add", "a", "--expires-in-days", "soon"], "'soon' is no number of days"),
        (["keys", "add", "a", "--expires-in-days", "0"], "'0' is no number of days"),
        (["keys", "add", "a", "--models", "opus,"], "is no list of models"),
        (["keys", "revoke", " "], "the key is missing"),
        (["usage", "--by"], "unrecognized arguments: --by"),
        (["restart", "everything"], "invalid choice"),
        (["completion", "csh"], "invalid choice"),
        (["audit", "-1"], "'-1' is no number of entries"),
        (["status", "--socket", "/a", "--instance", "b"], "exclude each other"),
        (["status", "--instance", "../x"], "--instance '../x'"),
    ],
)
def test_a_mistake_is_told_on_stderr_and_is_exit_code_2(ctl, argv, message):
    said = ctl(*argv)
    assert said.code == 2
    assert said.out == ""
    assert message in said.err


def test_common_options_may_stand_anywhere(ctl, daemon, monkeypatch):
    monkeypatch.delenv("OCPD_SOCKET")
    daemon.answers["GET /sessions"] = answered({"sessions": []})
    path = str(daemon.path)
    first = ctl("--json", "--socket", path, "sessions")
    assert first.code == 0
    assert first == ctl("sessions", f"--socket={path}", "--json")
    assert first == ctl(f"--socket={path}", "sessions", "--json")
    daemon.answers["GET /api/keys"] = answered({"keys": []})
    assert ctl("keys", "--socket", path, "--json").out == '{\n  "keys": []\n}\n'


def test_a_word_may_begin_with_a_dash_after_two_of_them(ctl, daemon):
    daemon.answers["DELETE /api/keys/-x"] = answered({"revoked": True, "idOrName": "-x"})
    assert ctl("keys", "revoke", "--", "-x").code == 0


def test_no_daemon_is_exit_code_3_with_advice(ctl):
    said = ctl("status")
    assert said.code == 3
    assert said.out == ""
    assert said.err.startswith("ocpctl: ocpd does not answer\n")
    assert "is the daemon running? try: systemctl status ocpd" in said.err


def test_no_access_is_exit_code_4_with_the_line_to_type(ctl, daemon):
    daemon.answers["POST /api/keys"] = refused("root or group ocpd only", 403)
    said = ctl("keys", "add", "my laptop")
    assert said.code == 4
    assert "root or group ocpd only" in said.err
    assert "try: sudo ocpctl keys add 'my laptop'" in said.err


def test_a_refusal_is_exit_code_1(ctl, daemon):
    daemon.answers["POST /api/keys"] = refused("the name laptop is taken", 409)
    said = ctl("keys", "add", "laptop")
    assert said == (1, "", "ocpctl: the name laptop is taken\n")


def test_another_version_is_a_warning_and_no_failure(ctl, daemon):
    daemon.answers["GET /sessions"] = answered({"sessions": []}, version="9.0.0")
    said = ctl("sessions")
    assert said.code == 0
    assert said.out == "No active sessions.\n"
    assert said.err == "ocpctl: ocpd is 9.0.0, this ocpctl is 0.1.0: restart or update\n"


def test_ctrl_c_is_quiet(ctl, daemon, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ocpctl.client.Client.get", interrupt)
    assert ctl("status") == (130, "", "")


def test_an_error_on_the_wire_is_one_line(ctl, daemon):
    daemon.answers["GET /status"] = [b"hello\r\n"]
    assert ctl("status") == (
        1,
        "",
        "ocpctl: the answer is not HTTP: is that the socket of ocpd?\n",
    )
