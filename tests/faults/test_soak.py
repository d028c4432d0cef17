"""Half an hour of everything that fails: the ledger and the database end in exact agreement."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from tests.faults.agreement import Books, judge, summary
from tests.faults.soak import POLICY, Soak
from tests.faults.stack import Stack, wait_for

_MINUTES = float(os.environ.get("PRUUF_SOAK_MINUTES", "30"))
_SEED = int(os.environ.get("PRUUF_SOAK_SEED", str(int(time.time()))))
_SHOWN = 40


def _at_work(stack: Stack) -> int:
    query = "SELECT (SELECT count(*) FROM due WHERE due_at < 'infinity')"
    query += " + (SELECT count(*) FROM inbox WHERE done_at IS NULL)"
    return int(stack.query(query)[0][0])


def _memory(pid: int) -> float:
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 - of the kernel
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024


@pytest.mark.soak
def test_a_soak_ends_with_ledger_and_database_in_exact_agreement(stack: Stack) -> None:
    """PRUUF_SOAK_MINUTES says how long, PRUUF_SOAK_SEED repeats the chances."""
    print(f"\nsoak of {_MINUTES:g} minutes, PRUUF_SOAK_SEED={_SEED}")
    stack.policy(POLICY)
    edge = stack.start_edge()
    relays = [stack.start_relay(f"relay-{n}") for n in range(2)]
    soak = Soak(stack, relays, seed=_SEED)
    asyncio.run(soak.play(_MINUTES))
    ended = time.monotonic()
    wait_for(lambda: _at_work(stack) == 0, within_s=420, what="everything at rest")
    rested = time.monotonic() - ended
    memory = [_memory(process.pid) for process in [*edge, *relays]]
    assert all(process.poll() is None for process in [*edge, *relays]), "a process ended by itself"

    books, played = Books(stack), soak.played
    verdict = judge(books, played.promised)
    print(
        f"{played.events} events in {_MINUTES:g} min, {played.refused} calls had to be repeated; "
        f"blows {dict(played.blows)} with {played.in_flight} claims in flight; "
        f"people's actions {dict(played.actions)}; {summary(books)}; at rest after {rested:.0f} s. "
        f"{verdict.unheard} texts whose outcome stayed unknown ({verdict.killed} calls were cut "
        f"off by a kill), {len(verdict.twice)} alerts texted twice in one step; MiB at the end: "
        f"{', '.join(f'{mib:.0f}' for mib in memory)}. {len(verdict.offenders)} disagreements",
    )
    for one in verdict.twice:
        print(f"  texted twice, as its outcome could not be found out: {one}")
    for offender in verdict.offenders[:_SHOWN]:
        print(f"  {offender}")
    assert verdict.offenders == []
    assert verdict.killed <= played.in_flight
