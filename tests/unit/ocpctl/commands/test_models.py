"""``ocpctl models``."""

import json  # noqa: TID251 - what programs read

from tests.unit.ocpctl.fake_daemon import answered, refused

MODELS = {"object": "list", "data": [{"id": "claude-opus-4-7"}, {"id": "claude-haiku-4-5"}]}


def test_the_ids_are_listed(ctl, daemon):
    daemon.answers["GET /v1/models"] = answered(MODELS)
    assert ctl("models") == (0, "  claude-opus-4-7\n  claude-haiku-4-5\n", "")
    assert json.loads(ctl("models", "--json").out) == MODELS


def test_a_refusal_is_told(ctl, daemon):
    daemon.answers["GET /v1/models"] = refused("no", 503)
    assert ctl("models") == (1, "", "ocpctl: no\n")
