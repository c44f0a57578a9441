"""The daemon follows its settings while it runs.

What may live here: what happens in which room when a setting, the login or the models table
changes. Turns that run go on as they began; whatever comes after lives under the new ones.
"""

import errno
import logging
from collections.abc import Iterable

import msgspec

from ocpd.admin.desk import Rejected
from ocpd.api.doorkeeper import Doorkeeper
from ocpd.api.intake import Conditions
from ocpd.api.listing import Listing
from ocpd.api.presence import Presence
from ocpd.claude.argv import build_environment
from ocpd.daemon.registry import read_registry
from ocpd.daemon.start import (
    CannotListen,
    Files,
    Start,
    check_start,
    find_names,
    read_files,
    read_identity,
)
from ocpd.daemon.tuning import (
    anonymous_quota,
    client_limits,
    plan_rules,
    pool_limits,
    queue_wait_s,
)
from ocpd.daemon.version import VERSION
from ocpd.dispatch.admission import Admission
from ocpd.dispatch.gate import Gate
from ocpd.errors import BadRequest
from ocpd.http.listener import Server
from ocpd.http.occupant import find_occupant
from ocpd.http.ports import Address, CannotBind
from ocpd.log import adjust
from ocpd.models import Models
from ocpd.pool.login import Login
from ocpd.pool.pool import Pool
from ocpd.pool.probe import Probe
from ocpd.pool.token import VARIABLE, TokenSafe
from ocpd.settings.doors import list_addresses, list_warnings, read_doors
from ocpd.settings.knob import SettingsError
from ocpd.settings.values import Settings
from ocpd.turn.servers import Registry

_log = logging.getLogger("ocpd.daemon")


class Parts(msgspec.Struct, frozen=True):
    """Whom a change concerns."""

    admission: Admission
    gate: Gate
    probe: Probe
    login: Login
    pool: Pool
    conditions: Conditions
    listing: Listing
    doorkeeper: Doorkeeper
    presence: Presence


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
            structured_max_attempts=settings.structured_max_attempts,
        )
        environment["TMPDIR"] = self._scratch
        return environment


class Live:
    """Holds what counts now, and lets the rooms follow it. ``listen`` comes first."""

    def __init__(
        self, start: Start, settings: Settings, files: Files, surroundings: Surroundings
    ) -> None:
        self._start = start
        self._surroundings = surroundings
        self._parts: Parts
        self._server: Server
        self._files = files
        self._afresh: tuple[Settings, Files] | None = None
        self.settings = settings
        self.doors = read_doors(settings, find_names())
        self.addresses: tuple[Address, ...] = ()
        _warn(list_warnings(settings, self.doors))

    @property
    def models(self) -> Models:
        """The models table that counts now."""
        return self._files.models

    @property
    def registry(self) -> Registry:
        """The MCP servers that requests get now."""
        return self._files.registry

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it listens on TCP, for clients."""
        scheme = "http" if self._files.identity is None else "https"
        return tuple(
            f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
            for host, port in self.addresses
        )

    def problems(self) -> tuple[str, ...]:
        """What on disk cannot be used any more, while what was read before still is; for people."""
        identity = self._files.identity
        return (identity.problem,) if identity is not None and identity.problem else ()

    async def listen(self, server: Server, parts: Parts) -> None:
        """Open the TCP port; from now on changes reach ``parts``. Raises CannotListen."""
        self._server, self._parts = server, parts
        server.identity = self._files.identity
        inherited = self._start.inherited.tcp
        if inherited:
            self.addresses = await server.adopt(inherited)
        else:
            self.addresses = await self._bind(self.settings)

    def check(self, settings: Settings) -> None:
        """Raise SettingsError if the daemon could not follow ``settings``."""
        check_start(settings, self._files_for(settings).models, self._start.environ)

    def check_afresh(self, settings: Settings) -> None:
        """The same under the models table and the MCP servers as they are on disk now, which
        count from then on if these very settings are applied."""
        files = read_files(self._start, settings)
        check_start(settings, files.models, self._start.environ)
        self._afresh = (settings, files)

    async def apply(self, settings: Settings) -> None:
        """Follow ``settings``. Raises Rejected if the new address or the token for children cannot
        be had, and then nothing has changed."""
        before, files = self.settings, self._files_for(settings)
        doors = read_doors(settings, find_names())
        environment = self._maybe_make_environment(before, settings)
        await self._move(before, settings)
        told = list_warnings(before, self.doors)
        self.settings, self.doors = settings, doors
        self._adopt(files)
        parts = self._parts
        parts.doorkeeper.doors = doors
        parts.presence.review()
        _warn(warning for warning in list_warnings(settings, doors) if warning not in told)
        parts.conditions.settings = settings
        parts.admission.resize(settings.max_concurrent, settings.max_queue)
        parts.admission.retry_after_s = settings.queue_retry_after_s
        parts.admission.wait_s = queue_wait_s(settings)
        parts.gate.anonymous = anonymous_quota(settings)
        parts.gate.guard.rules = plan_rules(settings)
        parts.login.timeout_s = settings.auth_check_timeout_ms / 1000
        parts.pool.change_limits(pool_limits(settings))
        self._server.change_limits(client_limits(settings))
        if (before.log_level, before.log_format) != (settings.log_level, settings.log_format):
            adjust(settings.log_level, settings.log_format)
        if environment is not None:
            self._use(environment)

    async def renew(self) -> None:
        """Let another login count from the next turn on; look at it before returning.

        Raises BadRequest (409) for a stored token that others may read.
        """
        try:
            environment = self._surroundings.make(self.settings)
        except SettingsError as error:
            raise BadRequest(str(error), status=409, code="token_unusable") from error
        self._use(environment)
        await self._parts.login.renew(has_token=VARIABLE in environment)

    def resolve(self, name: str) -> str:
        """Return a model's canonical id. Raises BadRequest for an unknown one."""
        return self.models.resolve(name, default=name, unknown="refuse").id

    def _files_for(self, settings: Settings) -> Files:
        if self._afresh is not None and self._afresh[0] is settings:
            return self._afresh[1]
        # Read at the start and on reload only: an unrelated change must not fail because somebody
        # is editing one of them.
        before, (models, registry) = self.settings, (self.models, self.registry)
        identity = self._files.identity
        if settings.models_file != before.models_file:
            models = self._start.read_models(settings)
        if (settings.mcp_config, settings.mcp_registry) != (before.mcp_config, before.mcp_registry):
            registry = read_registry(settings)
        if _tls_of(settings) != _tls_of(before):
            identity = read_identity(settings)
        return Files(models, registry, identity)

    def _adopt(self, files: Files) -> None:
        conditions = self._parts.conditions
        conditions.registry = files.registry
        self._server.identity = files.identity
        if files.models is not self.models:
            conditions.models = files.models
            self._parts.listing.adopt(files.models)
        self._files = files

    def _maybe_make_environment(
        self, before: Settings, settings: Settings
    ) -> dict[str, str] | None:
        """Make the environment of children anew, if it is another under ``settings``."""
        if before.claude_bin != settings.claude_bin:
            key = "claudeBin"
        elif before.cli_max_retries != settings.cli_max_retries:
            key = "cliMaxRetries"
        elif before.structured_max_attempts != settings.structured_max_attempts:
            key = "structuredMaxAttempts"
        else:
            return None
        try:
            return self._surroundings.make(settings)
        except SettingsError as error:
            raise Rejected({key: f"{key}: {error}"}) from error

    def _use(self, environment: dict[str, str]) -> None:
        self._parts.probe.change(self.settings.claude_bin, environment)
        self._parts.pool.change_environment(environment)

    async def _move(self, before: Settings, settings: Settings) -> None:
        if (before.bind, before.port) == (settings.bind, settings.port):
            return
        try:
            self.addresses = await self._bind(settings)
        except CannotListen as error:
            key = "port" if before.port != settings.port else "bind"
            raise Rejected({key: f"{key}: {error}"}) from error
        _log.info("moved", extra={"urls": self.urls})

    async def _bind(self, settings: Settings) -> tuple[Address, ...]:
        try:
            return await self._server.listen(list_addresses(settings), settings.port)
        except CannotBind as error:
            host, port = error.address
            holder = find_occupant(port) if error.errno == errno.EADDRINUSE else None
            held = f"; {holder} holds it" if holder else ""
            raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}{held}") from error


def _tls_of(settings: Settings) -> tuple[str, str, int]:
    return settings.tls_certificate, settings.tls_key, settings.header_timeout_ms


def _warn(warnings: Iterable[str]) -> None:
    for warning in warnings:
        _log.warning("door_is_open", extra={"warning": warning})
