"""``pruuf``: the one command; every verb says what it did and exits with a code that tells."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

_BROKEN_PIPE = 1


def main() -> None:
    """Entry point of the console command."""
    # While the rest is loaded there is nothing to put away.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from gateway.cli import signals, verbs  # noqa: PLC0415 - they take a moment

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character shows a question mark.
            stream.reconfigure(errors="replace")
    try:
        with signals.stoppable():
            verbs.app()
    except SystemExit as end:
        _end(end.code if isinstance(end.code, int) else int(end.code is not None))


def _end(code: int) -> NoReturn:
    """Leave without taking the interpreter apart.

    Everything is closed by now but the native HTTP client's threads: one that is about to give
    the interpreter's lock back while it goes away aborts the process (seen as exit code -6).
    """
    logging.shutdown()
    # Who does not read what goes wrong may still read how it ended.
    with suppress(BrokenPipeError):
        sys.stderr.flush()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _BROKEN_PIPE
    os._exit(code)


if __name__ == "__main__":
    main()
