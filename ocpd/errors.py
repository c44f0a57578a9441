"""Every failure ocpd can explain.

What may live here: the family of exceptions that cross rooms, each with what a caller may hear
(``message``) and what only the log may (``detail``). How a failure is spelled on the wire belongs
to a dialect; what a failure of the CLI means belongs to ``claude.faults``.

    OcpdError
    ├── BadRequest     the caller asked for something that cannot be (400, 404, 413, ...)
    ├── Unauthorized   nobody is signed in, or the login was refused (401)
    ├── Refused        understood, but not allowed (403)
    ├── Overloaded     not now (429, 503), usually with ``retry_after_s``
    │   └── QuotaExceeded   a key has used up what it may (429)
    ├── Upstream       the CLI or the model behind it failed (502, 503, 504)
    │   ├── Died       the CLI's process ended under the turn; another may do better (502)
    │   └── HistoryRefused   the CLI takes no earlier messages; all in one may do (502)
    ├── Gone           the caller left; nobody hears this one
    └── Bug            our own fault (500)
"""

from typing import ClassVar

import msgspec


class QuotaFacts(msgspec.Struct, frozen=True, rename="camel"):
    """Which quota is reached, as existing clients read it: ``resets_in`` is for people."""

    period: str
    limit: int | float
    used: int | float
    resets_in: str


class OcpdError(Exception):
    """A failure with a public face.

    ``message`` and ``param`` may be shown to the caller; ``detail`` goes to the log only.
    ``code`` is stable, for programs. ``quotes`` says that the texts are the upstream's, which may
    repeat what the caller wrote: then they are for the caller alone. ``retry_after_s`` is whole
    seconds; ``retry_at`` is epoch seconds, for rooms without a clock: the edge turns it into
    ``retry_after_s``. ``headers`` go with the answer; ``quota`` and ``kind`` (the ``type`` on the
    wire, where it is not the status's own) go into its body.
    """

    default_status: ClassVar[int] = 500
    default_code: ClassVar[str | None] = None

    def __init__(  # noqa: PLR0913 - all but the message are optional facts
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
        retry_at: float | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.default_status if status is None else status
        self.code = self.default_code if code is None else code
        self.param = param
        self.retry_after_s = retry_after_s
        self.retry_at = retry_at
        self.detail = detail
        self.quotes = False
        self.headers: tuple[tuple[str, str], ...] = ()
        self.kind: str | None = None
        self.quota: QuotaFacts | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.status}, {self.code}, {self.message!r})"


class BadRequest(OcpdError):
    """The request itself is wrong; sending it again unchanged will not help."""

    default_status = 400


class Unauthorized(OcpdError):
    """No usable login behind this request."""

    default_status = 401


class Refused(OcpdError):
    """Understood and not allowed."""

    default_status = 403


class Overloaded(OcpdError):
    """Not now; ``retry_after_s`` says when, if anybody knows."""

    default_status = 429


class QuotaExceeded(Overloaded):
    """A limit of a key is reached; ``quota`` says which."""

    default_code = "quota_exceeded"

    def __init__(
        self,
        message: str,
        quota: QuotaFacts,
        *,
        retry_after_s: int | None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.kind = "quota_exceeded"
        self.quota = quota
        self.headers = headers


class Upstream(OcpdError):
    """The CLI, or the service it talks to, failed."""

    default_status = 502


class Died(Upstream):
    """The process ended before the turn did. Worth one more try if nothing was said yet."""

    default_code = "cli_died"


class HistoryRefused(Upstream):
    """The process does not take earlier messages. Worth one more try with all of it in one."""

    default_code = "history_refused"


class Gone(OcpdError):
    """The caller went away. 499 is nginx's word for it; it is never sent."""

    default_status = 499
    default_code = "client_closed_request"


class Bug(OcpdError):
    """Our own fault. The message is fixed: what happened is for the log."""

    default_code = "internal_error"

    def __init__(self, detail: str) -> None:
        super().__init__("ocpd hit a bug of its own; the log has the details.", detail=detail)
