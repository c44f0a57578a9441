"""Promise: the models that can be asked are listed as clients read them, under all their names."""

import pytest

from ocpd.api.listing import Listing
from ocpd.turn.caller import Caller
from tests.unit.api.stage import MODELS, answer
from tests.unit.http.stage import run

CREATED = 1_800_000_000


def listing(models: tuple[str, ...] | None = None) -> Listing:
    return Listing(MODELS, CREATED, lambda _: Caller(models=models))


def test_the_list_has_every_model_in_the_order_of_the_table() -> None:
    told = run(answer(listing().show_all)).json
    assert told["object"] == "list"
    assert [card["id"] for card in told["data"]] == [model.id for model in MODELS.listing]
    for card, model in zip(told["data"], MODELS.listing, strict=True):
        assert card == {
            "id": model.id,
            "object": "model",
            "owned_by": "anthropic",
            "created": CREATED,
            "display_name": model.display_name,
            "context_length": model.context_length,
            "context_window": model.context_window,
            "max_output_tokens": model.max_tokens,
        }


@pytest.mark.parametrize("name", ["claude-sonnet-5-5", "sonnet", "SONNET", "openai/sonnet"])
def test_one_model_is_found_under_any_of_its_names(name: str) -> None:
    link = run(answer(listing().show_one, id=name))
    assert (link.status, link.json["id"]) == (200, "claude-sonnet-5-5")


@pytest.mark.parametrize(
    ("name", "status"), [("gpt-5", 404), ("claude-not-listed", 404), ("x" * 5000, 404), (" ", 400)]
)
def test_what_is_not_listed_is_an_error_in_the_usual_shape(name: str, status: int) -> None:
    link = run(answer(listing().show_one, id=name))
    assert link.status == status
    assert link.json["error"]["param"] == "model"
    assert len(link.sent) < 2000


def test_a_key_sees_the_models_it_may_use() -> None:
    mine = ("claude-sonnet-5-5",)
    told = run(answer(listing(mine).show_all)).json
    assert [card["id"] for card in told["data"]] == ["claude-sonnet-5-5"]
    assert run(answer(listing(mine).show_one, id="sonnet")).status == 200
    assert run(answer(listing(mine).show_one, id="opus")).status == 404
