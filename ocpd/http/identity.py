"""Who we are to callers that speak TLS: a certificate and its key, as they are on disk.

What may live here: reading the pair, noticing that it was renewed, and the one context that is made
of it. What is said with it is for ``doorstep``.
"""

import contextlib
import logging
import os
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

_log = logging.getLogger("ocpd.http")

LARGEST_BYTES: Final = 1_048_576

CERTIFICATE: Final = "tlsCertificate"
KEY: Final = "tlsKey"

_CERTIFICATE_MARK: Final = b"-----BEGIN CERTIFICATE-----"
_KEY_MARK: Final = b"PRIVATE KEY-----"

Stamp = tuple[tuple[int, ...], ...]
"""By what two states of the files are told apart."""


class UnusablePair(ValueError):
    """The files are no identity; the text names the setting, the file and what to do."""


class Identity:
    """A certificate and its key, and what was made of them.

    Renewed files are found by looking at them when somebody connects: no timer, nothing to tell us
    of, and who comes after the renewal is served with it. A pair that cannot be used changes
    nothing; it is logged once, and ``problem`` says why until a usable one is there.
    """

    def __init__(self, certificate: str, key: str, handshake_s: float) -> None:
        """Read the pair; a handshake may take ``handshake_s`` seconds. Raises UnusablePair."""
        self._certificate = certificate
        self._key = key
        self.handshake_s = handshake_s
        self.problem = ""
        self._stamp = _look(certificate, key)
        self._context = _load(certificate, key)

    def __repr__(self) -> str:
        return f"<Identity {self._certificate} {self.problem}>"

    def context(self) -> ssl.SSLContext:
        """Return what the next caller is to be greeted with, after a look at the files."""
        stamp = _look(self._certificate, self._key)
        # What could not be used is tried each time: the reason may lie elsewhere, as with too many
        # open files, and go away without a trace in the files.
        if stamp != self._stamp or self.problem:
            self._stamp = stamp
            self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            self._context = _load(self._certificate, self._key)
        except UnusablePair as error:
            problem = f"{error}; the certificate that was read before goes on being used"
            if problem != self.problem:
                _log.error("certificate_not_renewed", extra={"reason": str(error)})
            self.problem = problem
        else:
            self.problem = ""
            _log.info("certificate_renewed", extra={"file": self._certificate})


def _look(*paths: str) -> Stamp:
    found: list[tuple[int, ...]] = []
    for path in paths:
        told: tuple[int, ...] = ()
        with contextlib.suppress(OSError):
            # Through links: that is how most programs put renewed files in place.
            seen = Path(path).stat()
            told = (seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size)
        found.append(told)
    return tuple(found)


def _load(certificate: str, key: str) -> ssl.SSLContext:
    with (
        _opened(CERTIFICATE, certificate, _CERTIFICATE_MARK) as chain,
        _opened(KEY, key, _KEY_MARK) as secret,
    ):
        context = _make_context()
        try:
            context.load_cert_chain(chain, secret, lambda: _refuse_to_ask(key))
        except ssl.SSLError as error:
            raise UnusablePair(_explain(error, certificate, key)) from error
        except OSError as error:
            raise UnusablePair(f"{CERTIFICATE}: {certificate}: {error.strerror}") from error
    return context


def _make_context() -> ssl.SSLContext:
    # Its defaults for servers are current; callers are not asked for certificates.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _refuse_to_ask(key: str) -> NoReturn:
    # Without this OpenSSL would ask the terminal, and wait there.
    raise UnusablePair(
        f"{KEY}: {key}: it is encrypted, and nobody is there to be asked for its password; run:"
        f" openssl pkey -in {key} -out NEW, and chmod 600 NEW"
    )


def _explain(error: ssl.SSLError, certificate: str, key: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{KEY}: {key} is not the key of {certificate} ({CERTIFICATE})"
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return f"{CERTIFICATE}, {KEY}: {certificate} and {key} cannot be used: {reason}"


@contextlib.contextmanager
def _opened(setting: str, path: str, mark: bytes) -> Iterator[str]:
    """Open a file, look at it, and yield a path of what is open: whatever is put in its place
    meanwhile, what was looked at is what is used. Raises UnusablePair."""
    try:
        with open(path, "rb", opener=_open) as file:
            _check(setting, path, os.fstat(file.fileno()))
            data = file.read(LARGEST_BYTES + 1)
            if len(data) > LARGEST_BYTES:
                raise UnusablePair(f"{setting}: {path}: it has more than {LARGEST_BYTES} bytes")
            if mark not in data:
                what = "private key" if setting == KEY else "certificate"
                raise UnusablePair(f"{setting}: {path}: there is no {what} in it (PEM)")
            # Where a descriptor's path is a copy of it (macOS), that goes on where we are.
            file.seek(0)
            handle = f"/dev/fd/{file.fileno()}"
            # A sandbox may have neither /dev/fd nor /proc.
            yield handle if Path(handle).exists() else path
    except OSError as error:
        raise UnusablePair(f"{setting}: {path}: {error.strerror}") from error


def _check(setting: str, path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnusablePair(f"{setting}: {path}: it is no plain file")
    if setting == KEY:
        _check_closed(setting, path, found)


def _check_closed(setting: str, path: str, found: os.stat_result) -> None:
    # A key that root owns is given to a service by letting the service's group read it (group
    # ssl-cert, a credential of systemd's). Whoever else owns one has no reason to share it.
    is_roots = found.st_uid == 0
    closed = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO | (0 if is_roots else stat.S_IRGRP)
    if found.st_mode & closed:
        close = "640" if is_roots else "600"
        raise UnusablePair(
            f"{setting}: {path}: it is open to others than its owner; run: chmod {close} {path}"
        )


def _open(path: str, flags: int) -> int:
    # Not to wait for a writer, should it be a pipe.
    return os.open(path, flags | os.O_NONBLOCK)
