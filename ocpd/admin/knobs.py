"""``/settings`` and ``/admin/reload``: read, change, explain, reset and re-read the settings.

What may live here: the shapes; what is decided is decided at the desk. A refusal of a change always
has ``errors``, also one for another reason than a value: clients of OCP look there and nowhere
else, and take its absence for success.
"""

from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from ocpd.admin.access import Actor
from ocpd.admin.answers import MAX_BODY_BYTES, read_body, read_object, read_query, send
from ocpd.admin.answers import spell_refusal as spell_plain
from ocpd.admin.audit import Journal
from ocpd.admin.desk import Changed, Desk, Rejected, Value, find_knob
from ocpd.admin.wire import (
    Fault,
    KnobExplained,
    KnobList,
    KnobReset,
    KnobResult,
    KnobsChanged,
    KnobSource,
    KnobView,
    Nothing,
    Reloaded,
    Scalar,
    TierView,
)
from ocpd.errors import OcpdError
from ocpd.http.exchange import Exchange
from ocpd.http.message import Response
from ocpd.settings.knob import Knob, Type
from ocpd.settings.load import Source
from ocpd.settings.table import BY_KEY, KNOBS

TIERS = "tiers"

HIDDEN = "(set)"
"""What stands in the place of a secret."""

# PATCH says perChar, GET says perPromptChar; whoever sends back what he got is understood.
_TIER_FIELDS = {"base": "base", "perChar": "perChar", "perPromptChar": "perChar"}

_Tiers = dict[str, dict[str, msgspec.Raw]]

_value: msgspec.json.Decoder[Scalar] = msgspec.json.Decoder(Scalar)
_tiers: msgspec.json.Decoder[_Tiers] = msgspec.json.Decoder(_Tiers)
_encoder = msgspec.json.Encoder()


class Knobs:
    """Answers for the settings."""

    def __init__(self, desk: Desk, journal: Journal) -> None:
        self._desk = desk
        self._journal = journal

    async def show_all(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer every setting, and the tiers."""
        read_query(exchange)
        await send(exchange, self._list())

    async def explain(self, exchange: Exchange, _actor: Actor) -> None:
        """Answer one setting and where its value comes from."""
        read_query(exchange)
        told = self._desk.explain(exchange.params["key"])
        knob = told.knob
        is_number = name_type(knob) == "number"
        await send(
            exchange,
            KnobExplained(
                key=knob.key,
                value=show_value(knob, told.value),
                default=knob.default,
                unit=knob.unit,
                type=name_type(knob),
                min=knob.low if is_number else None,
                max=knob.high if is_number else None,
                choices=list(knob.choices),
                env=[knob.variable, *knob.aliases],
                flag="" if knob.secret else knob.flag,
                help=knob.help,
                origin=told.origin,
                sources=[_view_source(knob, n, each) for n, each in enumerate(told.sources)],
            ),
        )

    async def change(self, exchange: Exchange, actor: Actor) -> None:
        """Change every setting that is sent, or none: 200, 400, or 409 for one that is fixed."""
        read_query(exchange)
        sent, faults = read_changes(await exchange.read_body(MAX_BODY_BYTES))
        if faults:
            rejected = Rejected(faults)
            await send(exchange, self._rejected(rejected), rejected.status)
            return
        try:
            changed = await self._journal.carry_out(
                actor, "settings.change", self._desk.change(sent, actor.name), tell_changed
            )
        except Rejected as error:
            await send(exchange, self._rejected(error), error.status)
            return
        results = {key: KnobResult(ok=True, value=value) for key, value in changed.values.items()}
        await send(exchange, KnobsChanged(results, self._list()))

    async def reset(self, exchange: Exchange, actor: Actor) -> None:
        """Take one setting back to what lies beneath the runtime store."""
        read_query(exchange)
        knob = find_knob(exchange.params["key"])
        value = await self._journal.carry_out(
            actor,
            "settings.reset",
            self._desk.reset(knob.key, actor.name),
            lambda now: f"{knob.key}={now}",
        )
        await send(exchange, KnobReset(knob.key, value, self._desk.origin(knob)))

    async def reload(self, exchange: Exchange, actor: Actor) -> None:
        """Read the config file and what else is on disk again."""
        read_query(exchange)
        await read_body(exchange, Nothing)
        changed = await self._journal.carry_out(
            actor, "settings.reload", self._desk.reload(), tell_changed
        )
        shown: dict[str, Scalar] = {
            key: show_value(BY_KEY[key], value) for key, value in changed.values.items()
        }
        await send(exchange, Reloaded(shown, list(changed.notes)))

    def _list(self) -> KnobList:
        listed: KnobList = {}
        tiers: dict[str, dict[str, float]] = {}
        for knob in KNOBS:
            value = self._desk.value(knob)
            if knob.key.startswith(f"{TIERS}."):
                _, family, field = knob.key.split(".")
                tiers.setdefault(family, {})[field] = float(value)
            else:
                listed[knob.key] = _view(knob, value, self._desk.origin(knob))
        listed[TIERS] = {
            family: TierView(base=_whole(told["base"]), per_prompt_char=told["perChar"])
            for family, told in tiers.items()
        }
        return listed

    def _rejected(self, error: Rejected) -> KnobsChanged:
        return KnobsChanged(
            results={key: KnobResult(error=text) for key, text in error.faults.items() if key},
            current=self._list(),
            errors=list(error.faults.values()),
            error=Fault(error.message, "invalid_request_error", error.param, error.code),
        )


def spell_refusal(error: OcpdError) -> Response:
    """Spell a refusal of a change: this room's error shape, and ``errors``."""
    plain = spell_plain(error)
    told = msgspec.json.decode(plain.body, type=dict[str, Fault])
    body = _encoder.encode({"error": told["error"], "errors": [error.message]})
    return Response(plain.status, plain.headers, body)


def read_changes(body: bytes) -> tuple[dict[str, Scalar], dict[str, str]]:
    """Read a change: values by key, and what cannot be meant, by key.

    ``tiers`` may come nested, as they are shown. Raises BadRequest (400) for what is no object.
    """
    values: dict[str, Scalar] = {}
    faults: dict[str, str] = {}
    for key, raw in _flatten(read_object(body), faults):
        knob = BY_KEY.get(key)
        try:
            value = _value.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError):
            wanted = name_type(knob) if knob else "value"
            faults[key] = (
                f"{key}: expected {wanted}, got {'array' if bytes(raw)[:1] == b'[' else 'object'}"
            )
            continue
        values[key] = value
        if knob is not None and value is not None and _kind_of(value) != name_type(knob):
            faults[key] = f"{key}: expected {name_type(knob)}, got {_kind_of(value)}"
    return values, faults


def _flatten(
    told: Mapping[str, msgspec.Raw], faults: dict[str, str]
) -> list[tuple[str, msgspec.Raw]]:
    flat: list[tuple[str, msgspec.Raw]] = []
    for key, raw in told.items():
        if key != TIERS:
            flat.append((key, raw))
            continue
        try:
            tiers = _tiers.decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError):
            faults[TIERS] = 'tiers: expected an object such as {"opus": {"base": 150000}}'
            continue
        flat += [
            (f"{TIERS}.{family}.{_TIER_FIELDS.get(field, field)}", amount)
            for family, fields in tiers.items()
            for field, amount in fields.items()
        ]
    return flat


def name_type(knob: Knob) -> str:
    """The type of a setting, as it is called in JSON."""
    if knob.type in (Type.INTEGER, Type.NUMBER):
        return "number"
    return "boolean" if knob.type.value == "boolean" else "string"


def _kind_of(value: str | float) -> str:
    # bool first: Python's true is a number.
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def _view(knob: Knob, value: Value, origin: str) -> KnobView:
    is_number = name_type(knob) == "number"
    return KnobView(
        value=show_value(knob, value),
        type=name_type(knob),
        unit=knob.unit,
        desc=knob.help,
        origin=origin,
        min=knob.low if is_number else UNSET,
        max=knob.high if is_number else UNSET,
        choices=list(knob.choices) if knob.choices else UNSET,
    )


def _view_source(knob: Knob, number: int, source: Source) -> KnobSource:
    value = source.raw
    shown = value if isinstance(value, str | int | float | bool) else str(value)
    return KnobSource(source.name, show_value(knob, shown), wins=number == 0)


def show_value(knob: Knob, value: Value) -> Value:
    """Return what may be shown of a setting's value: of a secret only whether it is there."""
    return HIDDEN if knob.secret and value != "" else value


def _whole(number: float) -> float:
    return int(number) if number.is_integer() else number


def tell_changed(changed: Changed) -> str:
    """Spell a change for the books and the log."""
    told = (f"{key}={show_value(BY_KEY[key], value)}" for key, value in changed.values.items())
    return ", ".join(told) or "nothing"
