"""What a test may alter in a process of ours that it starts: its clock, and how patient it is.

The product knows nothing of it: without these variables in the environment nothing is altered.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import gc
import mmap
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outbox.relay.duty import Duty
    from outbox.store.connect import Connection

SHIFT = "FAULTS_CLOCK_SHIFT_S"
"""How far the clock of the day is ahead of the machine's; negative: behind."""
CLOCK = "FAULTS_CLOCK_FILE"
"""A file that says so instead, as one double; whoever writes it moves the clock of all at once."""
SILENCE = "FAULTS_SILENCE_S"
"""How long the database may say nothing."""
PATIENCE = "FAULTS_PATIENCE_S"
"""How long an event may wait for its turn to be committed."""
HELD = "FAULTS_HELD_FILE"
"""While this file is there, no relay reads Stripe's list of events, and nobody is told about
billing; without it every relay looks all the time, as a day passes in a moment. None counts the
minutes of such days for the objectives, or compares Stripe's books with ours by the schedule: it
would do little else."""

_LOOKS_EVERY_S = 0.1
WAITING = "FAULTS_WAITING"
"""How much may wait for its commit."""
BATCH = "FAULTS_BATCH"
"""How much is committed together."""
AGED = "FAULTS_AGED"
"""The test makes older what is stored, so that minutes pass in a moment, and counts them itself, by
what relays count them with; to an audit such rows are altered ones. Gateways write what they
counted, and relays look whether canaries are due, all the time; and what waits by a relay's own
clock, as a probe of a provider does, waits for a moment."""


def arm(environ: Mapping[str, str]) -> None:
    """Alter what the environment names."""
    if SHIFT in environ:
        by_s = float(environ[SHIFT])
        _shift(lambda: by_s)
    if CLOCK in environ:
        _shift(_told_by(Path(environ[CLOCK])))
    if SILENCE in environ:
        from outbox.store import connect  # noqa: PLC0415 - only where it is altered

        connect.SILENCE_S = float(environ[SILENCE])  # type: ignore[assignment]
    if PATIENCE in environ:
        from outbox.store import group_commit  # noqa: PLC0415 - only where it is altered

        group_commit._PATIENCE_S = float(environ[PATIENCE])
    if HELD in environ:
        _hold(Path(environ[HELD]))
    if AGED in environ:
        _age()
    for name, parameter in ((WAITING, "max_waiting"), (BATCH, "max_batch")):
        if name in environ:
            from outbox.store.group_commit import GroupCommit  # noqa: PLC0415 - only where altered

            defaults = GroupCommit.__init__.__kwdefaults__
            assert defaults is not None
            defaults[parameter] = int(environ[name])


def untold(held: Path) -> Path:
    """While this file is there nobody is told; while ``held`` is, Stripe's list is not read."""
    return held.with_name(f"{held.name}-untold")


def _hold(held: Path) -> None:
    from outbox.relay import (  # noqa: PLC0415 - only where it is altered
        billing_catch_up,
        billing_notices,
        billing_reconciler,
        measuring,
    )

    billing_catch_up.BillingCatchUp.every_s = _LOOKS_EVERY_S
    billing_notices.BillingNotices.every_s = _LOOKS_EVERY_S
    keeps_still, keeps_quiet = held.exists, untold(held).exists
    read, tell = billing_catch_up.BillingCatchUp.turn, billing_notices.BillingNotices.round

    async def read_unless_held(self: billing_catch_up.BillingCatchUp) -> bool:
        return not keeps_still() and await read(self)

    async def tell_unless_held(self: billing_notices.BillingNotices, connection: Connection) -> int:
        return 0 if keeps_quiet() else await tell(self, connection)

    async def rest(self: Duty) -> None:
        await self._stopping.wait()

    measuring.Measuring.run = rest  # type: ignore[method-assign]
    billing_reconciler.BillingReconciler.run = rest  # type: ignore[method-assign]
    billing_catch_up.BillingCatchUp.turn = read_unless_held  # type: ignore[method-assign]
    billing_notices.BillingNotices.round = tell_unless_held  # type: ignore[method-assign]


def _age() -> None:
    from gateway import tally  # noqa: PLC0415 - only where it is altered
    from outbox.domain import breaker  # noqa: PLC0415 - likewise
    from outbox.relay import (  # noqa: PLC0415 - likewise
        auditor,
        billing_reconciler,
        canary,
        measuring,
    )

    tally._EVERY_S = canary.Canary.every_s = _LOOKS_EVERY_S
    billing_reconciler.BillingReconciler.every_s = _LOOKS_EVERY_S
    breaker.COOL_S, breaker.RETURN_S = (1.0, 2.0), 1.0

    async def rest(self: Duty) -> None:
        await self._stopping.wait()

    measuring.Measuring.run = rest  # type: ignore[method-assign]
    auditor.Auditor.run = rest  # type: ignore[method-assign]


def _told_by(path: Path) -> Callable[[], float]:
    with path.open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    read = struct.Struct("d").unpack_from

    def by_s() -> float:
        told: float = read(view)[0]
        return told

    return by_s


def _shift(by_s: Callable[[], float]) -> None:
    """Move Python's two sources of the time of day; monotonic clocks stay as they are."""
    real_time, real_ns = time.time, time.time_ns
    real = dt.datetime
    real_now = real.now

    def now(cls: type[dt.datetime], tz: dt.tzinfo | None = None) -> Any:  # noqa: ANN401
        return real_now(tz) + dt.timedelta(seconds=by_s())

    time.time = lambda: real_time() + by_s()
    time.time_ns = lambda: real_ns() + int(by_s() * 1e9)
    # The type is written in C and takes no attribute, but its dictionary does: a subclass instead
    # of it would not be what msgspec and psycopg take for a time.
    members: dict[str, Any] = gc.get_referents(real.__dict__)[0]
    members["now"] = classmethod(now)
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(real))
