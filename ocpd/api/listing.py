"""``GET /v1/models`` and ``GET /v1/models/{id}``.

What may live here: the models table in OpenAI's shape. The answers hardly ever change, so they are
written once for each table.
"""

from collections.abc import Callable

import msgspec

from ocpd.errors import BadRequest
from ocpd.http.exchange import Exchange
from ocpd.http.message import Request, Response, json_response, refusal
from ocpd.models import Model, Models
from ocpd.turn.caller import Caller


class ModelCard(msgspec.Struct):
    """One model. ``context_length`` is what a conversation may really hold here;
    ``context_window`` what the model has. Token counts."""

    id: str
    created: int
    display_name: str
    context_length: int
    context_window: int
    max_output_tokens: int
    object: str = "model"
    owned_by: str = "anthropic"


class ModelList(msgspec.Struct):
    """The list as the SDKs read it."""

    data: list[ModelCard]
    object: str = "list"


class Listing:
    """Answers for the models table; ``created`` is epoch seconds, the daemon's start. ``admit``
    tells who asks: some keys have some models only."""

    def __init__(self, models: Models, created: int, admit: Callable[[Request], Caller]) -> None:
        self._created = created
        self._admit = admit
        self.adopt(models)

    def adopt(self, models: Models) -> None:
        """Answer for ``models`` from now on."""
        self._models = models
        cards = [_card(model, self._created) for model in models.listing]
        self._all = _answer(ModelList(cards))
        self._cards = {card.id: card for card in cards}
        self._one = {card.id: _answer(card) for card in cards}

    async def show_all(self, exchange: Exchange) -> None:
        """Answer the list: of the models that the caller may use."""
        models = self._admit(exchange.request).models
        if models is None:
            await exchange.respond(self._all)
            return
        cards = [card for card in self._cards.values() if card.id in models]
        await exchange.respond(_answer(ModelList(cards)))

    async def show_one(self, exchange: Exchange) -> None:
        """Answer one model, by id or alias; 404 for what is not listed for the caller."""
        models = self._admit(exchange.request).models
        try:
            answer = self._find(exchange.params["id"], models)
        except BadRequest as error:
            answer = refusal(error)
        await exchange.respond(answer)

    def _find(self, name: str, models: tuple[str, ...] | None) -> Response:
        resolved = self._models.resolve(name, default=name, unknown="refuse")
        if resolved.listed and (models is None or resolved.id in models):
            return self._one[resolved.id]
        raise BadRequest(
            f"the model {name[:80]!r} is not listed here",
            status=404,
            code="model_not_found",
            param="model",
        )


def _card(model: Model, created: int) -> ModelCard:
    return ModelCard(
        id=model.id,
        created=created,
        display_name=model.display_name,
        context_length=model.context_length,
        context_window=model.context_window,
        max_output_tokens=model.max_tokens,
    )


def _answer(body: ModelList | ModelCard) -> Response:
    return json_response(200, msgspec.json.encode(body))
