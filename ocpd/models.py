"""Which models there are, what each can do, and what a caller's name for one means.

What may live here: the table that models.json fills, its checks, and the resolution of names.
Bytes come in from outside; nothing here reads a file. An id the table does not list may still
run: the CLI learns of new models before we do.
"""

import difflib
import re
from collections.abc import Sequence, Set
from typing import Literal, TypeVar

import msgspec

from ocpd.errors import BadRequest

Effort = Literal["low", "medium", "high", "xhigh", "max"]

# Client programs put the name of their provider entry in front of the model's.
PREFIXES = ("claude-code-cli/", "openai/", "claude-local/")

_ID = re.compile(r"claude-[a-z0-9.-]{1,64}")
_NAME = re.compile(r"[a-z0-9.-]+")
# Longest name that is echoed and compared: difflib is quadratic.
_SHOWN = 80


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One model. ``context_window`` is what the model can hold in tokens, ``context_length`` what
    the CLI accepts of it, ``max_tokens`` the output tokens of one answer by default. ``efforts``
    is empty when the model takes none; ``thinking_off`` says whether thinking can be switched
    off, ``sampling`` whether temperature, top_p and top_k are taken while it is.
    """

    id: str
    display_name: str
    openclaw_name: str
    reasoning: bool
    vision: bool
    context_window: int
    context_length: int
    max_tokens: int
    efforts: tuple[Effort, ...]
    thinking_off: bool
    sampling: bool


class ModelsFile(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """models.json as it is written."""

    version: Literal[1]
    models: tuple[Model, ...]
    aliases: dict[str, str]
    legacy_aliases: dict[str, str]


class Overlay(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """An operator's changes to models.json: rows to add or replace, ids to hide, names to give or
    (null) to take away."""

    version: Literal[1]
    models: tuple[Model, ...] = ()
    hide: tuple[str, ...] = ()
    aliases: dict[str, str | None] = {}
    legacy_aliases: dict[str, str | None] = {}


class Resolved(msgspec.Struct, frozen=True):
    """What a name means: the canonical ``id``, and its row if the table lists it."""

    id: str
    listed: bool
    model: Model | None


class Offered(msgspec.Struct, frozen=True):
    """One line of the CLI's own list: the ``value`` to choose and the id it ``resolved`` to."""

    value: str
    resolved: str


class Models:
    """The table. ``listing`` is in the order of the file: what clients should see first."""

    def __init__(self, file: ModelsFile) -> None:
        self.listing: tuple[Model, ...] = file.models
        self.aliases = file.aliases
        self.legacy_aliases = file.legacy_aliases
        rows = {model.id: model for model in file.models}
        targets = file.aliases | file.legacy_aliases
        self._names = rows | {name: rows[target] for name, target in targets.items()}
        self._accepted = ", ".join(self._names)

    def __repr__(self) -> str:
        return f"Models({len(self.listing)} listed, {len(self._names)} names)"

    def resolve(self, name: str | None, *, default: str, unknown: str) -> Resolved:
        """Say which model ``name`` means; None means ``default``, itself a name.

        One leading prefix of PREFIXES is dropped; ids and aliases match without case. A name
        that is not listed but looks like a Claude id is passed through as it is. For any other
        name ``unknown`` decides: "default" runs the default, "refuse" raises BadRequest 404.
        An empty name raises BadRequest 400. Resolve None once at start: that checks ``default``.
        """
        if name is None:
            return self.resolve(default, default=default, unknown="refuse")
        if not name.strip():
            raise BadRequest("model must not be empty", param="model")
        bare = _drop_prefix(name)
        if (model := self._names.get(bare.lower())) is not None:
            return Resolved(model.id, listed=True, model=model)
        if _ID.fullmatch(bare):
            return Resolved(bare, listed=False, model=None)
        if unknown == "default":
            return self.resolve(default, default=default, unknown="refuse")
        raise self._refusal(name, bare)

    def _refusal(self, name: str, bare: str) -> BadRequest:
        shown = name if len(name) <= _SHOWN else name[:_SHOWN] + "…"
        near = difflib.get_close_matches(bare[:_SHOWN].lower(), self._names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        return BadRequest(
            f"the model {shown!r} does not exist here{hint} Accepted: {self._accepted},"
            " and any other id that begins with 'claude-'",
            status=404,
            code="model_not_found",
            param="model",
        )


def load_models(data: bytes, overlay: bytes | None = None) -> Models:
    """Read models.json, changed by ``overlay`` if there is one (setting modelsFile).

    Raises ValueError that names the file and the entry that does not fit.
    """
    file = _decode(data, ModelsFile, "models.json")
    _check_file(file, "models.json")
    if overlay is None:
        return Models(file)
    changed = _lay_over(file, _decode(overlay, Overlay, "modelsFile"))
    _check_file(changed, "modelsFile")
    return Models(changed)


F = TypeVar("F", ModelsFile, Overlay)


def _decode(data: bytes, shape: type[F], source: str) -> F:
    try:
        return msgspec.json.decode(data, type=shape)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: {error}") from error


def _check_file(file: ModelsFile, source: str) -> None:
    if not file.models:
        raise ValueError(f"{source}: models is empty")
    seen: set[str] = set()
    for position, model in enumerate(file.models):
        if (fault := _find_fault(model, seen)) is not None:
            raise ValueError(f"{source}: models[{position}] ({model.id}): {fault}")
        seen.add(model.id)
    _check_names(f"{source}: aliases", file.aliases, seen, frozenset())
    taken = file.aliases.keys()
    _check_names(f"{source}: legacyAliases", file.legacy_aliases, seen, taken)


def _lay_over(file: ModelsFile, overlay: Overlay) -> ModelsFile:
    """New rows come first: they are what clients should see first. A name whose target is hidden
    goes with it, unless the overlay gives it another."""
    known = {model.id for model in file.models}
    for position, id_ in enumerate(overlay.hide):
        if id_ not in known:
            raise ValueError(f"modelsFile: hide[{position}]: there is no {id_!r} to hide")
    replaced = {model.id: model for model in overlay.models}
    kept = [replaced.pop(m.id, m) for m in file.models if m.id not in overlay.hide]
    hidden = frozenset(overlay.hide) - {model.id for model in overlay.models}
    return ModelsFile(
        version=1,
        models=(*replaced.values(), *kept),
        aliases=_merge(file.aliases, overlay.aliases, hidden),
        legacy_aliases=_merge(file.legacy_aliases, overlay.legacy_aliases, hidden),
    )


def _merge(
    names: dict[str, str], changes: dict[str, str | None], hidden: Set[str]
) -> dict[str, str]:
    merged = {name: id_ for name, id_ in names.items() if id_ not in hidden} | changes
    return {name: id_ for name, id_ in merged.items() if id_ is not None}


def drift(models: Models, offered: Sequence[Offered]) -> tuple[str, ...]:
    """Compare the table with what the CLI offers; one sentence for each difference that matters:
    an id we do not list, and an alias of ours that the CLI takes for another model.
    """
    listed = {model.id for model in models.listing}
    aliases = models.aliases | models.legacy_aliases
    found: list[str] = []
    for offer in offered:
        if offer.resolved not in listed:
            found.append(f"the CLI offers {offer.resolved}, which models.json does not list")
        ours = aliases.get(offer.value)
        if ours is not None and ours != offer.resolved:
            found.append(f"{offer.value} is {ours} in models.json, {offer.resolved} in the CLI")
    return tuple(dict.fromkeys(found))


def _drop_prefix(name: str) -> str:
    lowered = name.lower()
    for prefix in PREFIXES:
        if lowered.startswith(prefix):
            return name[len(prefix) :]
    return name


def _find_fault(model: Model, seen: set[str]) -> str | None:
    if not _ID.fullmatch(model.id):
        return "id must begin with claude- and use only a-z, 0-9, dot and hyphen"
    if model.id in seen:
        return "id appears twice"
    if not model.display_name or not model.openclaw_name:
        return "displayName and openclawName must not be empty"
    if not 1 <= model.context_length <= model.context_window:
        return "contextLength must be from 1 to contextWindow"
    if not 1 <= model.max_tokens <= model.context_window:
        return "maxTokens must be from 1 to contextWindow"
    if len(set(model.efforts)) != len(model.efforts):
        return "efforts has one level twice"
    return None


def _check_names(key: str, names: dict[str, str], ids: set[str], taken: Set[str]) -> None:
    for name, target in names.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{key}[{name!r}]: use only a-z, 0-9, dot and hyphen")
        if name in ids or name in taken:
            raise ValueError(f"{key}[{name!r}]: the name is taken already")
        if target not in ids:
            raise ValueError(f"{key}[{name!r}]: {target!r} is no id of models[]")
