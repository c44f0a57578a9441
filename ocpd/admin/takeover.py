"""What becomes of an OCP installation that is taken over: its database, its admin key, and the
environment its service ran in.

What may live here: putting the two halves together, store and settings. Whatever does not fit is a
note for whoever reads the report, unless it is the database itself.
"""

from collections.abc import Callable, Mapping

import msgspec

from ocpd.admin.desk import Desk, Rejected, Value
from ocpd.admin.wire import ImportAnswer, ImportedKey, Scalar
from ocpd.errors import BadRequest
from ocpd.settings.foreign import PROXY
from ocpd.settings.knob import Knob, SettingsError, parse_value
from ocpd.settings.load import Sources, sources_of
from ocpd.settings.table import KNOBS
from ocpd.store.ocp_import import Imported
from ocpd.store.ocp_source import OcpSource
from ocpd.store.store import Store

ADMIN_VARIABLE = "OCP_ADMIN_KEY"

_LONGEST_ADMIN_KEY = 1_000


class Takeover:
    """Takes over; ``resolve`` makes a model's name canonical and raises BadRequest for an unknown
    one."""

    def __init__(self, store: Store, desk: Desk, resolve: Callable[[str], str]) -> None:
        self._store = store
        self._desk = desk
        self._resolve = resolve

    async def run(
        self, source: OcpSource, environment: Mapping[str, str], by: str, *, dry_run: bool
    ) -> ImportAnswer:
        """Take over, or only say what would be taken over; return the report.

        Doing it twice changes nothing. Raises what ``Store.import_ocp`` raises; then nothing was
        imported.
        """
        notes: list[str] = []
        settings = self._read_settings(environment, notes)
        whole = msgspec.structs.replace(source, admin_key=_admin_key(source, environment))
        done = await self._store.import_ocp(whole, dry_run=dry_run, resolve=self._canonical)
        if settings and not dry_run:
            try:
                await self._desk.change(settings, by)
            except Rejected as error:
                notes.append(f"no setting was taken over: {error.message}")
                settings = {}
        return _report(done, settings, notes)

    def _canonical(self, name: str) -> str:
        try:
            return self._resolve(name)
        except BadRequest:
            return name

    def _read_settings(self, environment: Mapping[str, str], notes: list[str]) -> dict[str, Value]:
        """Choose what to set; what cannot be, or need not, is left out."""
        wanted: dict[str, Value] = {}
        sources = Sources(environ=environment)
        for knob in KNOBS:
            try:
                first = sources_of(knob, sources)[0]
                if first.rank == "default":
                    continue
                value = parse_value(knob, first.raw, first.name)
            except SettingsError as error:
                notes.append(f"not taken over: {error}")
                continue
            if (why := self._objection(knob, value)) is None:
                wanted[knob.key] = value
            elif why:
                notes.append(f"{first.name} was not taken over: {why}")
        names = {name for knob in KNOBS for name in (knob.variable, *knob.aliases)}
        notes += [
            f"{name} was not taken over: ocpd has no setting for it"
            for name in sorted(set(environment) - names - set(PROXY) - {ADMIN_VARIABLE})
        ]
        if "sharedKeys" in wanted and wanted.pop("bind", None) is not None:
            # They are not taken over, and what they guarded must not stand open.
            notes.append(
                "bind was not taken over: give ocpd the shared keys first (PROXY_API_KEYS), or set"
                " authMode to multi"
            )
        return self._fitting(wanted, notes)

    def _objection(self, knob: Knob, value: Value) -> str | None:
        """Why ``value`` is not to be set: a reason, "" if it holds already, None if it is."""
        if self._desk.value(knob) == value:
            return ""
        if self._desk.is_fixed(knob.key):
            return f"the command line fixes {knob.key}"
        if self._desk.origin(knob) != "default":
            return f"{knob.key} is set here already ({self._desk.origin(knob)})"
        return None

    def _fitting(self, wanted: dict[str, Value], notes: list[str]) -> dict[str, Value]:
        """Leave out what does not go with the rest."""
        left = dict(wanted)
        while left:
            try:
                self._desk.preview(left)
            except Rejected as error:
                notes.append(f"not taken over: {error.message}")
                if left.pop(error.param or "", None) is None:
                    return {}
            else:
                break
        return left


def _admin_key(source: OcpSource, environment: Mapping[str, str]) -> str | None:
    key = (source.admin_key or environment.get(ADMIN_VARIABLE) or "").strip()
    if len(key) > _LONGEST_ADMIN_KEY:
        raise BadRequest("admin_key is too long to be one", param="admin_key")
    return key or None


def _report(done: Imported, settings: Mapping[str, Value], notes: list[str]) -> ImportAnswer:
    told: dict[str, Scalar] = dict(settings)
    return ImportAnswer(
        dry_run=done.dry_run,
        keys=[ImportedKey(key.name, key.called, key.id, key.state) for key in done.keys],
        usage=done.usage,
        settings=told,
        admin_key=done.admin_key,
        notes=[*done.notes, *notes],
    )
