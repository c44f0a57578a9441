"""The daemon follows its settings while it runs.

What may live here: what happens in which room when a setting, the login or the models table
changes. Turns that run go on as they began; whatever comes after lives under the new ones.
"""

import logging
from collections.abc import Callable

import msgspec

from ocpd.admin.desk import Rejected
from ocpd.api.listing import Listing
from ocpd.api.turns import Turns
from ocpd.claude.argv import build_environment
from ocpd.daemon.start import CannotListen, Start, check_start
from ocpd.daemon.tuning import client_limits, spare_limits
from ocpd.daemon.version import VERSION
from ocpd.dispatch.admission import Admission
from ocpd.http.listener import Server
from ocpd.http.occupant import find_occupant
from ocpd.log import adjust
from ocpd.models import Models
from ocpd.pool.login import Login
from ocpd.pool.pool import Pool
from ocpd.pool.probe import Probe
from ocpd.pool.token import VARIABLE, TokenSafe
from ocpd.settings.knob import SettingsError
from ocpd.settings.values import Settings

_log = logging.getLogger("ocpd.daemon")


class Parts(msgspec.Struct, frozen=True):
    """Whom a change concerns."""

    admission: Admission
    probe: Probe
    login: Login
    pool: Pool
    turns: Turns
    listing: Listing


class Surroundings:
    """Makes the environment of children: the service's, the stored token, a folder for their
    temporary files."""

    def __init__(self, start: Start, token: TokenSafe, scratch: str) -> None:
        self._start = start
        self._token = token
        self._scratch = scratch

    def make(self, settings: Settings) -> dict[str, str]:
        """Return it, as a new dict. Raises SettingsError if the stored token is open to others or
        cannot be read."""
        environ = dict(self._start.environ)
        try:
            self._token.add_to(environ)
        except OSError as error:
            raise SettingsError(f"stored token: {error}") from error
        environment = build_environment(
            environ,
            lane=self._start.lane,
            version=VERSION,
            cli_max_retries=settings.cli_max_retries,
        )
        environment["TMPDIR"] = self._scratch
        return environment


class Live:
    """Holds what counts now, and lets the rooms follow it. ``listen`` comes first."""

    def __init__(
        self, start: Start, settings: Settings, models: Models, surroundings: Surroundings
    ) -> None:
        self._start = start
        self._surroundings = surroundings
        self._parts: Parts
        self._server: Server
        self.settings = settings
        self.models = models
        self.address = ("", 0)

    async def listen(self, server: Server, parts: Parts) -> None:
        """Open the TCP port; from now on changes reach ``parts``. Raises CannotListen."""
        self._server, self._parts = server, parts
        self.address = await self._bind(self.settings)

    def check(self, settings: Settings) -> None:
        """Raise SettingsError if the daemon could not follow ``settings``."""
        check_start(settings, self._models_for(settings), self._start.environ)

    async def apply(self, settings: Settings) -> None:
        """Follow ``settings``. Raises Rejected if the new address cannot be had, and then nothing
        has changed."""
        before, models = self.settings, self._models_for(settings)
        await self._move(before, settings)
        self.settings = settings
        self._adopt(models)
        parts = self._parts
        parts.turns.settings = settings
        parts.admission.resize(settings.max_concurrent, settings.max_queue)
        parts.admission.retry_after_s = settings.queue_retry_after_s
        parts.login.timeout_s = settings.auth_check_timeout_ms / 1000
        parts.pool.change_limits(spare_limits(settings))
        self._server.change_limits(client_limits(settings))
        if (before.log_level, before.log_format) != (settings.log_level, settings.log_format):
            adjust(settings.log_level, settings.log_format)
        if (before.claude_bin, before.cli_max_retries) != (
            settings.claude_bin,
            settings.cli_max_retries,
        ):
            self._change_environment()

    async def renew(self) -> None:
        """Let another login count from the next turn on; look at it before returning."""
        environment = self._change_environment()
        await self._parts.login.renew(has_token=VARIABLE in environment)

    def prepare_reload(self) -> Callable[[], None]:
        """Read the models table again; return what lets it count. Raises Rejected naming the entry
        that does not fit."""
        path = self.settings.models_file
        try:
            models = self._start.read_models(self.settings)
        except SettingsError as error:
            raise Rejected({"modelsFile": str(error)}) from error

        def adopt() -> None:
            # The reload may have named another file meanwhile: then that one was read, too.
            if self.settings.models_file == path:
                self._adopt(models)

        return adopt

    def resolve(self, name: str) -> str:
        """Return a model's canonical id. Raises BadRequest for an unknown one."""
        return self.models.resolve(name, default=name, unknown="refuse").id

    def _models_for(self, settings: Settings) -> Models:
        if settings.models_file == self.settings.models_file:
            # Read at the start and on reload only: an unrelated change must not fail because
            # somebody is editing the file.
            return self.models
        return self._start.read_models(settings)

    def _adopt(self, models: Models) -> None:
        if models is not self.models:
            self.models = self._parts.turns.models = models
            self._parts.listing.adopt(models)

    def _change_environment(self) -> dict[str, str]:
        environment = self._surroundings.make(self.settings)
        self._parts.probe.change(self.settings.claude_bin, environment)
        self._parts.pool.change_environment(environment)
        return environment

    async def _move(self, before: Settings, settings: Settings) -> None:
        if (before.bind, before.port) == (settings.bind, settings.port):
            return
        left = self.address
        try:
            self.address = await self._bind(settings)
        except CannotListen as error:
            key = "port" if before.port != settings.port else "bind"
            raise Rejected({key: f"{key}: {error}"}) from error
        self._server.stop_listening(left)
        _log.info("moved", extra={"host": self.address[0], "port": self.address[1]})

    async def _bind(self, settings: Settings) -> tuple[str, int]:
        try:
            return await self._server.listen(settings.bind, settings.port)
        except OSError as error:
            holder = find_occupant(settings.port)
            held = f"; {holder} holds it" if holder else ""
            raise CannotListen(
                f"cannot listen on {settings.bind}:{settings.port}: {error.strerror or error}{held}"
            ) from error
