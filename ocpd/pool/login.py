"""Whether the CLI is signed in, as far as anybody can tell.

What may live here: the verdict over probes and turns, and its running. ``claude auth status``
proves that a token is there, not that it works; a turn that was answered proves that it works.
Nothing here is ever used to refuse a turn: every turn asks the CLI.
"""

import asyncio
import logging

import msgspec

from ocpd.aio import wall_clock
from ocpd.pool.probe import Probe

_log = logging.getLogger("ocpd.pool")

FRESH_S = 900.0
"""How long a turn's verdict counts."""

HURRIED_S = 5.0
"""While not signed in, /health may look again this often: people sign in and look."""


class LoginState(msgspec.Struct):
    """The verdict. ``ok``: True works, False refused, None nobody knows. Times are epoch seconds,
    0 for never. Names follow the reference's /health."""

    ok: bool | None = None
    ok_source: str = "none"
    ok_at: float = 0.0
    last_check: float = 0.0
    last_outcome: str = "none"
    message: str = "not checked yet"
    consecutive_failures: int = 0
    consecutive_inconclusive: int = 0


class Login:
    """Holds the verdict and renews it. ``timeout_s`` (one look's time) may change at any time."""

    def __init__(self, probe: Probe, *, has_token: bool, timeout_s: float) -> None:
        self._probe = probe
        self._has_token = has_token
        self._state = LoginState()
        self._lock = asyncio.Lock()
        self.timeout_s = timeout_s

    def state(self) -> LoginState:
        """Return the verdict of this moment; a turn's word expires."""
        state = self._state
        if state.ok_source == "request" and wall_clock() - state.ok_at > FRESH_S:
            state.ok, state.ok_source = None, "expired"
        return state

    @property
    def has_token(self) -> bool:
        """Whether the login is a token from the environment."""
        return self._has_token

    @property
    def is_due(self) -> bool:
        """Whether a look would be welcome: nobody is known to be signed in."""
        return self.state().ok is False and wall_clock() - self._state.last_check > HURRIED_S

    def note_turn(self, *, accepted: bool) -> None:
        """A turn was answered, or refused for its login."""
        state = self._state
        state.ok, state.ok_source, state.ok_at = accepted, "request", wall_clock()
        if accepted:
            state.consecutive_failures = state.consecutive_inconclusive = 0
            state.message = "signed in"
        else:
            state.message = f"not signed in; run: {self._probe.sign_in}"

    async def check(self) -> None:
        """Ask the CLI. Two checks never run at once: the second returns at once."""
        if not self._lock.locked():
            async with self._lock:
                await self._check()

    async def renew(self, *, has_token: bool) -> None:
        """Forget what was known and ask again: another login is in force."""
        async with self._lock:
            self._has_token = has_token
            self._state = LoginState()
            await self._check()

    async def _check(self) -> None:
        answer = await self._probe.ask_login(self.timeout_s)
        state = self._state
        state.last_check = wall_clock()
        if answer is None:
            self._inconclusive("unavailable", "no Claude CLI to ask")
            return
        ran, login = answer
        if ran.status is None or ran.status < 0:
            self._inconclusive("timeout", "claude auth status did not answer")
        elif ran.status == 0 and login.loggedIn:
            state.consecutive_failures = state.consecutive_inconclusive = 0
            self._accept(login.authMethod)
        else:
            state.consecutive_failures += 1
            state.consecutive_inconclusive = 0
            state.ok, state.ok_source, state.ok_at = False, "probe", state.last_check
            state.last_outcome = "rejected"
            state.message = f"not signed in; run: {self._probe.sign_in}"
        _log.debug("login_checked", extra={"outcome": state.last_outcome})

    def _accept(self, method: str) -> None:
        state = self._state
        state.last_outcome = "token-present" if self._has_token else "authenticated"
        if self.state().ok_source == "request" and state.ok:
            return
        state.ok = None if self._has_token else True
        state.ok_source, state.ok_at = "probe", state.last_check
        state.message = (
            "a token is set; whether it works shows with the first turn"
            if self._has_token
            else f"signed in ({method})"
        )

    def _inconclusive(self, outcome: str, message: str) -> None:
        self._state.last_outcome = outcome
        self._state.consecutive_inconclusive += 1
        if self._state.ok is None:
            self._state.message = message
