"""A relay's memory and open files stay flat, however much it has sent."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from msgspec import Struct

from gateway.cli.supervisor import Child, Supervisor
from gateway.demo.stack import free_port, wait_until_answers
from tests.faults.stack import Stack, number
from tests.faults.traffic import backend, contact, event

_ROOT = Path(__file__).parents[2]
_MIB = 1024 * 1024
_AHEAD = 5_000
"""Posted and not sent yet, at most: the database shall not be what is filled."""

# The sink says nothing afterwards: its acceptance is the proof.
_POLICY = """
["checkin.confirmed"]
steps = [{ channel = "sms", retry_within_s = 600 }]
"""


class _Seen(Struct, frozen=True):
    """One look at a relay."""

    sent: int
    rss_mib: float
    files: int


def _look(pid: int, sent: int) -> _Seen:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return _Seen(sent, pages * os.sysconf("SC_PAGE_SIZE") / _MIB, files)


def _count(sink: str) -> int:
    with urllib.request.urlopen(f"{sink}/count", timeout=10) as answer:
        return int(answer.read())


async def _feed(stack: Stack, sink: str, pid: int, sends: int) -> list[_Seen]:
    """Post until so much was sent, and look at the relay all along."""
    seen: list[_Seen] = []
    posted = sent = 0
    last = time.monotonic()
    async with backend(stack) as caller:
        while sent < sends:
            if posted < sends and posted - sent < _AHEAD:
                until = min(sends, posted + 500)
                notes = [
                    event("checkin.confirmed", n, contact(n, number(n)))
                    for n in range(posted, until)
                ]
                await caller.post_all(notes)
                posted = until
            else:
                await asyncio.sleep(0.05)
            now = await asyncio.to_thread(_count, sink)
            last = time.monotonic() if now > sent else last
            assert time.monotonic() - last < 60, f"stuck at {sent} of {sends}"
            sent = now
            seen.append(_look(pid, sent))
    return seen


def _quarter(seen: list[_Seen], sends: int, quarter: int) -> tuple[float, float]:
    """Mean memory and mean number of open files of one quarter of the sends.

    The greatest number would tell of a burst of calls, which opens connections, and not of a leak.
    """
    low, high = sends * (quarter - 1) / 4, sends * quarter / 4
    looks = [look for look in seen if low < look.sent <= high]
    assert looks, f"nobody looked in quarter {quarter}"
    memory = sum(look.rss_mib for look in looks) / len(looks)
    return memory, sum(look.files for look in looks) / len(looks)


def _flat(stack: Stack, sends: int) -> None:
    port = free_port(0)
    sink = f"http://127.0.0.1:{port}"
    with Supervisor() as children:
        command = [sys.executable, "-m", "tests.benchmarks.sink", str(port)]
        child = Child(name="sink", command=command, environ=os.environ, cwd=str(_ROOT))
        wait_until_answers(f"{sink}/count", children.start(child))
        stack.policy(_POLICY)
        stack.environ["TWILIO_API_BASE"] = sink
        stack.start_gateway()
        relay = stack.start_relay("relay")
        started = time.monotonic()
        seen = asyncio.run(_feed(stack, sink, relay.pid, sends))
        took = time.monotonic() - started
        stack.wait_until_final(within_s=60)
    memory = [_quarter(seen, sends, quarter) for quarter in (1, 2, 3, 4)]
    states = dict(stack.query("SELECT state, count(*) FROM notification GROUP BY 1"))
    print(
        f"\n{sends} sends of one relay in {took:.0f} s; MiB by quarter: "
        f"{', '.join(f'{mib:.1f}' for mib, _ in memory)}; open files: "
        f"{', '.join(f'{files:.0f}' for _, files in memory)}; {states}",
    )
    assert states == {"delivered": sends}
    (second, files), (last, files_last) = memory[1], memory[3]
    assert last <= second * 1.05 + 4.0
    # How many calls are in flight, and so how many connections are open, depends on the machine.
    # One file left behind for each hundred sends would be 100 more here, and for each four thousand
    # 60 more in the long form.
    assert files_last <= files + 60


@pytest.mark.newest
def test_memory_and_files_stay_flat(stack: Stack) -> None:
    """20,000 sends."""
    _flat(stack, 20_000)


@pytest.mark.soak
def test_memory_and_files_stay_flat_over_half_a_million_sends(stack: Stack) -> None:
    """500,000 sends."""
    _flat(stack, 500_000)
