"""Logs: JSON lines for machines, readable ones for a terminal; one wide event per external call.

What is logged is chosen field by field at the call: no number, token or text is ever passed in.
Every line of a claim or a request names it (`about`), and its trace where there is one. Exceptions
are told by their types and places, never by their texts: those quote what they met.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType

import msgspec

from observability import tracing

_wide = logging.getLogger("pruuf.wide")
_log = logging.getLogger(__name__)

_about: ContextVar[tuple[object, object] | None] = ContextVar("pruuf_about", default=None)


def about(event: object, notification: object) -> None:
    """What this task does from now on is about this event and this notification: their ids."""
    _about.set((event, notification))


def places(error: BaseException) -> str:
    """An exception and its causes: types, and where each came from; no text of any."""
    told: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        frames = "".join(traceback.format_tb(cause.__traceback__))
        told.append(f"{type(cause).__module__}.{type(cause).__qualname__}\n{frames}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return "caused by ".join(told)


def _correlation() -> dict[str, object]:
    found: dict[str, object] = {}
    if (ids := _about.get()) is not None:
        found["event_id"], found["notification_id"] = ids
    if (span := tracing.current()) is not None:
        found["trace_id"], found["span_id"] = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    return found


class _Format(logging.Formatter):
    """One line a record: readable, or JSON."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=UTC)
        own: dict[str, object] = getattr(record, "fields", {})
        fields = {**_correlation(), **own}
        message = record.getMessage()
        if record.name == "asyncio":
            # What follows its first line quotes futures, and with them their exceptions.
            message = message.partition("\n")[0]
        error = record.exc_info[1] if record.exc_info else None
        trace = None if error is None else places(error).rstrip()
        if not self._as_json:
            pairs = " ".join(
                f"{name}={value}" for name, value in fields.items() if value is not None
            )
            line = f"{at:%H:%M:%S.%f} {record.levelname:<7} {message} {pairs}".rstrip()
            return f"{line}\n{trace}" if trace else line
        event = {
            "time": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": message,
            **fields,
        }
        if trace:
            event["trace"] = trace
        return msgspec.json.encode(event).decode()


def configure(*, level: str = "INFO") -> None:
    """Send all logs to stderr, JSON unless it is a terminal; also what ends the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Format(as_json=not sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These speak of addresses and headers.
    for name in ("twilio", "google", "urllib3", "httpx", "httpcore", "firebase_admin"):
        logging.getLogger(name).setLevel("WARNING")
    sys.excepthook = _ended_by
    threading.excepthook = lambda args: _ended_by(args.exc_type, args.exc_value, None)


def _ended_by(
    kind: type[BaseException], error: BaseException | None, _: TracebackType | None
) -> None:
    """Nobody caught it; Python itself would print its text."""
    if issubclass(kind, KeyboardInterrupt):
        return
    _log.critical("nobody caught %s", kind.__name__, exc_info=error)


def wide(event: str, /, **fields: object) -> None:
    """One wide event: everything about one external call that may be known."""
    if _wide.isEnabledFor(logging.INFO):
        _wide.info(event, extra={"fields": fields})
