"""A handler run to its end, whatever it does.

What may live here: what becomes of a handler that fails. This is the room's one broad except.
"""

import logging

from ocpd.errors import Bug, Gone, OcpdError
from ocpd.http.exchange import Exchange, Handler, State
from ocpd.http.message import refusal

_log = logging.getLogger("ocpd.http")


async def run_handler(handler: Handler, exchange: Exchange) -> None:
    """Let ``handler`` answer ``exchange``; if it fails before the answer began, send a refusal.

    An answer that began and did not end is left as it is: look at ``exchange.state`` and break
    the connection off. Bugs are logged. If cancelled, so is the handler; nothing is sent then.
    """
    try:
        await handler(exchange)
    except Gone:
        return
    except OcpdError as error:
        failure: OcpdError = error
    except Exception as error:  # noqa: BLE001 - a handler's bug must not leave a caller waiting
        failure = Bug(repr(error))
        failure.__cause__ = error
    else:
        if exchange.state not in (State.READING, State.STREAMING):
            return
        failure = Bug("the handler returned before the end of its answer")
    if isinstance(failure, Bug):
        _log_bug(exchange, failure)
    if exchange.state is State.READING:
        await exchange.respond(refusal(failure))


def _log_bug(exchange: Exchange, bug: Bug) -> None:
    # The path and no more: queries and bodies are the caller's.
    request = exchange.request
    extra = {"method": request.method, "path": request.path, "detail": bug.detail}
    _log.error("handler_failed", exc_info=bug.__cause__ or bug, extra=extra)
