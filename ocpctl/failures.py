"""How a command can fail, and the exit code of each way.

What may live here: exit codes and exceptions. A failure says what happened and, in ``advice``,
what to do next, one line each. ``cli.run`` prints both on stderr.
"""

OK = 0
REFUSED = 1
USAGE = 2
NOT_RUNNING = 3
NO_ACCESS = 4
TO_DO = 5
INTERRUPTED = 130
PIPE_CLOSED = 141

# As --help and the man page tell it.
EXIT_CODES = (
    (OK, "done"),
    (REFUSED, "refused or failed; stderr says why"),
    (USAGE, "the command line is wrong"),
    (NOT_RUNNING, "ocpd is not running, or not where it was looked for"),
    (NO_ACCESS, "you may not do this; stderr says who may"),
    (TO_DO, "answered, but something is left for you to do, such as signing in"),
)


class Failure(Exception):
    """A command came to nothing. ``message`` and ``advice`` are for people."""

    exit_code = REFUSED

    def __init__(self, message: str, advice: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class Misuse(Failure):
    """What was asked for cannot be meant."""

    exit_code = USAGE


class NotRunning(Failure):
    """Nobody answers on any of the sockets."""

    exit_code = NOT_RUNNING


class NoAccess(Failure):
    """The socket, or the daemon behind it, does not let this user in."""

    exit_code = NO_ACCESS


class Broken(Failure):
    """The daemon's answer broke off, came too late or makes no sense."""


class Refused(Failure):
    """The daemon understood and said no. ``body`` is its answer as it came, for commands that
    find more in it than the message."""

    def __init__(self, status: int, message: str, body: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body
