"""Being stopped: Ctrl-C, SIGTERM and a closed terminal all end a verb in order, and once.

After the first of them further ones are ignored, so that putting things away is not torn in two.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

Answer = TypeVar("Answer")

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Somebody wants this to end."""

    def __init__(self, number: int) -> None:
        """``number`` is the signal's."""
        super().__init__(number)
        self.exit_code = 128 + number


class _State:
    held = 0
    waiting: int | None = None


def _stop(number: int, _: FrameType | None) -> None:
    if _State.held:
        _State.waiting = number
        return
    ignore()
    raise Stopped(number)


def ignore() -> None:
    """From now on nobody disturbs: what is left to do is short."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def stoppable() -> Iterator[None]:
    """What is in here is ended by `Stopped`; the handlers are put back at the end."""
    before = {number: signal.getsignal(number) for number in _STOPPING}
    for number, handler in before.items():
        # Who started us with nohup wants us to outlive the terminal.
        if not (number == signal.SIGHUP and handler == signal.SIG_IGN):
            signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """What is in here is done whole; `Stopped` comes at its end."""
    _State.held += 1
    try:
        yield
    finally:
        _State.held -= 1
        number, _State.waiting = _State.waiting, None
        if number is not None:
            _stop(number, None)


def run(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine in `stoppable`; a signal cancels it, and `Stopped` comes after that."""
    stopped: list[int] = []

    async def main() -> Answer | None:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

        def stop(number: int) -> None:
            stopped.append(number)
            task.cancel()

        before = {number: signal.getsignal(number) for number in _STOPPING}
        for number in _STOPPING:
            if before[number] == _stop:
                loop.add_signal_handler(number, stop, number)
        try:
            return await task
        except asyncio.CancelledError:
            if not stopped:
                raise
            return None
        finally:
            for number, handler in before.items():
                if loop.remove_signal_handler(number):
                    signal.signal(number, signal.SIG_IGN if stopped else handler)

    answer = asyncio.run(main())
    if stopped:
        ignore()
        raise Stopped(stopped[0])
    return answer  # type: ignore[return-value] # null only when stopped
