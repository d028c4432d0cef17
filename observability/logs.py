"""Logs: JSON lines for machines, readable ones for a terminal; one wide event per external call.

What is logged is chosen field by field at the call: no number, token or text is ever passed in.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

_wide = logging.getLogger("pruuf.wide")


class _Format(logging.Formatter):
    """One line a record: readable, or JSON."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, tz=UTC)
        fields: dict[str, object] = getattr(record, "fields", {})
        message = record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info else None
        if not self._as_json:
            pairs = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
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
    """Send all logs to stderr: JSON unless it is a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Format(as_json=not sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These speak of addresses and headers.
    for name in ("twilio", "google", "urllib3", "httpx", "httpcore", "firebase_admin"):
        logging.getLogger(name).setLevel("WARNING")


def wide(event: str, /, **fields: object) -> None:
    """One wide event: everything about one external call that may be known."""
    if _wide.isEnabledFor(logging.INFO):
        _wide.info(event, extra={"fields": fields})
