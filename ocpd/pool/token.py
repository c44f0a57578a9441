"""The token an operator handed us for the CLI: kept in one file, passed on, never looked at.

What may live here: that file. ``claude setup-token`` makes such a token; ``ocpctl auth token``
hands it over. It goes into the environment of children and nowhere else.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ocpd.errors import Overloaded

T = TypeVar("T")

VARIABLE = "CLAUDE_CODE_OAUTH_TOKEN"


class TokenTooOpen(PermissionError):
    """Others may read the file; the text has the command that closes it."""


class TokenSafe:
    """``token`` in the state directory, mode 0600. What changes it returns once that is durable;
    if cancelled, it is still done."""

    def __init__(self, state: Path) -> None:
        self._path = state / "token"

    @property
    def is_stored(self) -> bool:
        """Whether there is one."""
        return self._path.exists()

    def add_to(self, environment: dict[str, str]) -> None:
        """Put the stored token into a child's environment; without one the service's own stays.

        Raises TokenTooOpen if the file's mode lets others read it: then it is no secret, and the
        operator has to know. Raises OSError for a file that cannot be read.
        """
        with contextlib.suppress(FileNotFoundError):
            mode = self._path.stat().st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise TokenTooOpen(
                    f"{self._path} may be read by others; run: chmod 600 {self._path}"
                )
            environment[VARIABLE] = self._path.read_text("utf-8").strip()

    async def store(self, token: str) -> None:
        """Keep ``token`` in the place of any other. Raises Overloaded (503) if it cannot be."""
        await _do(lambda: self._write(token))

    async def remove(self) -> bool:
        """Forget it; False if there was none. Raises Overloaded (503) if it cannot be."""
        return await _do(self._unlink)

    def _write(self, token: str) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(token + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def _unlink(self) -> bool:
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True


async def _do(work: Callable[[], T]) -> T:
    # On a thread: fsync may take its time, and streams are running.
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise Overloaded(
            f"the token file cannot be changed: {error.strerror}",
            status=503,
            code="token_not_kept",
        ) from error
