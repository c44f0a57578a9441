"""Where settings are changed: checked as a whole, applied at once, kept.

What may live here: the sources of settings (argv, the runtime store, the environment, the config
file) and the one order in which a change is made. What a setting is, is ``ocpd.settings``'; what
it does is behind ``apply``.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Protocol

import msgspec

from ocpd.aio import finish
from ocpd.errors import BadRequest, OcpdError, Overloaded
from ocpd.settings.knob import Knob, SettingsError, parse_value
from ocpd.settings.load import Loaded, Source, Sources, flatten, load_settings, sources_of
from ocpd.settings.table import BY_KEY, KNOBS
from ocpd.settings.unit import SocketUnit
from ocpd.settings.values import Settings

Value = str | int | float | bool

_WORD = re.compile(r"[A-Za-z]+(?:\.[A-Za-z]+)*")

COMMIT_S = 30.0
"""Longest time that keeping and applying a change may take."""


class KnobStore(Protocol):
    """Where changes survive a restart; ``store.knobs`` is one."""

    def all(self) -> dict[str, Value]:
        """What was changed at run time, by key."""
        ...

    async def put(self, changes: Mapping[str, Value | None], by: str) -> None:
        """Keep ``changes``, all of them or none; None forgets one. Durable on return."""
        ...


class Inputs(msgspec.Struct, frozen=True):
    """What was there at the start. ``read_file`` reads the config file anew; ``check`` looks at
    the settings as a whole; ``check_afresh`` does so for a reload, and reads anew what they name
    on disk. All three raise SettingsError. Where a socket ``unit`` listens for us, that has
    decided."""

    argv: Mapping[str, str]
    environ: Mapping[str, str]
    read_file: Callable[[], Mapping[str, object]]
    check: Callable[[Settings], None]
    check_afresh: Callable[[Settings], None]
    unit: SocketUnit | None = None


class Rejected(BadRequest):
    """Nothing was changed; ``faults`` say why, by key ("" is the whole)."""

    def __init__(self, faults: Mapping[str, str], *, status: int = 400) -> None:
        first = next(iter(faults))
        super().__init__(
            "; ".join(faults.values()),
            status=status,
            code="setting_fixed" if status == 409 else "setting_rejected",
            param=first or None,
        )
        self.faults = dict(faults)


class Changed(msgspec.Struct, frozen=True):
    """What a change did: the values that hold now for the keys that were sent (all keys that
    differ, for a reload), and lines worth knowing."""

    values: dict[str, Value]
    notes: tuple[str, ...] = ()


class Explained(msgspec.Struct, frozen=True):
    """One setting, its value and all places that have one, the strongest first."""

    knob: Knob
    value: Value
    origin: str
    sources: tuple[Source, ...]


class Desk:
    """The settings as they are now. Changes are made one after the other."""

    def __init__(
        self,
        inputs: Inputs,
        knobs: KnobStore,
        apply: Callable[[Settings], Awaitable[None]],
        *,
        file: Mapping[str, object],
        loaded: Loaded,
    ) -> None:
        """``file`` and ``loaded`` are what the daemon was started with. ``apply`` may raise
        Rejected for what turns out not to work, and then has changed nothing."""
        self._inputs = inputs
        self._knobs = knobs
        self._apply = apply
        self._file = file
        self._loaded = loaded
        self._lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Desk({len(self._knobs.all())} changed)"

    @property
    def settings(self) -> Settings:
        """What holds now."""
        return self._loaded.settings

    def value(self, knob: Knob) -> Value:
        """Return what holds now for one setting."""
        return value_of(self._loaded.settings, knob)

    def origin(self, knob: Knob) -> str:
        """Return where that value comes from."""
        return self._loaded.origins[knob.key]

    def is_fixed(self, key: str) -> bool:
        """Whether the command line decided over the setting: then nothing else does."""
        return key in self._inputs.argv

    def explain(self, key: str) -> Explained:
        """Say where the value of a setting comes from. Raises BadRequest (404)."""
        knob = find_knob(key)
        sources = Sources(
            argv=self._inputs.argv,
            environ=self._inputs.environ,
            file=flatten(self._file),
            runtime=self._loaded.runtime,
            unit=self._inputs.unit,
        )
        return Explained(
            knob=knob,
            value=self.value(knob),
            origin=self.origin(knob),
            sources=tuple(sources_of(knob, sources)),
        )

    async def change(self, changes: Mapping[str, object], by: str) -> Changed:
        """Set every setting in ``changes`` (None: take it back), or none of them.

        Durable and applied on return; ``by`` goes into the store. Raises Rejected: 409 if the
        command line fixed one, else 400 with what does not fit; and Overloaded when the store
        cannot keep it. If cancelled, a change that was begun is still kept and applied.
        """
        async with self._lock:
            wanted, loaded = self.preview(changes)
            await self._commit(wanted, loaded, by)
            return Changed({key: value_of(loaded.settings, BY_KEY[key]) for key in changes})

    def preview(self, changes: Mapping[str, object]) -> tuple[dict[str, Value | None], Loaded]:
        """Check ``changes`` without making them; return them parsed, and what would hold then.

        Raises as ``change`` does.
        """
        wanted: dict[str, Value | None] = {}
        faults: dict[str, str] = {}
        for key, raw in changes.items():
            try:
                wanted[key] = self._parse(key, raw)
            except SettingsError as error:
                faults[key] = str(error)
        if faults:
            are_fixed = all(self.is_fixed(key) for key in faults)
            raise Rejected(faults, status=409 if are_fixed else 400)
        # Not all that is stored: what was left out at the start is no fault of this change.
        runtime = {**self._loaded.runtime, **wanted}
        kept = {key: value for key, value in runtime.items() if value is not None}
        try:
            return wanted, self._load(self._file, kept)
        except SettingsError as error:
            raise Rejected({_blame(str(error), changes): str(error)}) from error

    async def reset(self, key: str, by: str) -> Value:
        """Take a setting back to what lies beneath the runtime store; return what holds then.

        Raises BadRequest (404) for an unknown one, else as ``change`` does.
        """
        find_knob(key)
        return (await self.change({key: None}, by)).values[key]

    async def reload(self) -> Changed:
        """Read the config file, and what the settings name on disk, again and apply it; return
        what changed.

        A file that cannot be used changes nothing: raises Rejected (400) naming the value.
        """
        async with self._lock:
            try:
                file = self._inputs.read_file()
                loaded = self._load(file, self._loaded.runtime, self._inputs.check_afresh)
            except SettingsError as error:
                raise Rejected({_blame(str(error), BY_KEY): str(error)}) from error
            before = self._loaded.settings
            await self._adopt(loaded)
            self._file = file
            after = {knob.key: value_of(loaded.settings, knob) for knob in KNOBS}
            return Changed(
                {
                    key: value
                    for key, value in after.items()
                    if value != value_of(before, BY_KEY[key])
                },
                loaded.notes,
            )

    async def refresh(self) -> None:
        """Apply what the runtime store has now: a backup was restored, for example.

        Raises Rejected when that does not fit any more; then what held goes on to hold.
        """
        async with self._lock:
            try:
                loaded = self._load(self._file, self._knobs.all())
            except SettingsError as error:
                raise Rejected({_blame(str(error), BY_KEY): str(error)}) from error
            await self._adopt(loaded)

    def _parse(self, key: str, raw: object) -> Value | None:
        knob = BY_KEY.get(key)
        if knob is None:
            raise SettingsError(f"unknown setting: {key[:80]}")
        if self.is_fixed(key):
            raise SettingsError(
                f"{key}: the command line fixes it ({knob.flag}); start ocpd without that to"
                " change it here"
            )
        if knob.secret and raw is not None:
            raise SettingsError(
                f"{key}: a secret is not kept in the database; set {knob.variable} or {key} in"
                " ocpd.toml, and reload or restart ocpd"
            )
        return None if raw is None else parse_value(knob, raw, key)

    def _load(
        self,
        file: Mapping[str, object],
        runtime: Mapping[str, object],
        check: Callable[[Settings], None] | None = None,
    ) -> Loaded:
        inputs = self._inputs
        loaded = load_settings(inputs.argv, inputs.environ, file, runtime, inputs.unit)
        (check or self._inputs.check)(loaded.settings)
        return loaded

    async def _commit(self, wanted: Mapping[str, Value | None], loaded: Loaded, by: str) -> None:
        async def apply_and_keep() -> bool:
            # Applied first: an address that cannot be had must not be what the next start finds.
            before = self._loaded
            await self._adopt(loaded)
            try:
                await self._knobs.put(wanted, by)
            except OcpdError:
                await self._adopt(before)
                raise
            return True

        if wanted and not await finish(apply_and_keep(), COMMIT_S):
            raise Overloaded("the change took too long", status=503, code="change_too_slow")

    async def _adopt(self, loaded: Loaded) -> None:
        await self._apply(loaded.settings)
        self._loaded = loaded


def find_knob(key: str) -> Knob:
    """Return the setting ``key``. Raises BadRequest (404)."""
    knob = BY_KEY.get(key)
    if knob is None:
        raise BadRequest(
            f"unknown setting: {key[:80]}", status=404, code="unknown_setting", param=key[:80]
        )
    return knob


def value_of(settings: Settings, knob: Knob) -> Value:
    """Return the value that ``settings`` have for ``knob``."""
    value: Value = getattr(settings, knob.field)
    return value


def _blame(text: str, keys: Container[str]) -> str:
    """The key that a message about the whole names first, or ""."""
    return next((word for word in _WORD.findall(text) if word in keys), "")
