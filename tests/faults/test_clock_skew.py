"""Gateway and relays with clocks five minutes off: nothing early, nothing twice, alerts fast."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from datetime import datetime
from itertools import islice, pairwise
from statistics import quantiles
from typing import Any

import pytest

from outbox.domain.outcomes import Result
from outbox.simulators import magic
from tests.faults import altered
from tests.faults.conftest import Begin
from tests.faults.judge import judge
from tests.faults.stack import Stack, day, number, wait_for
from tests.faults.table import Scenario
from tests.faults.traffic import Backend, backend, contact, event

_SKEW_S = 300
_RECEIPT_S = 2
_UNHEARD = 10
"""Alerts whose texts and pushes nobody confirms: they take step after step, each in its time."""
_DROPPED = 10
"""Texts that are accepted and not answered: asked for, not sent again."""
_AT_ONCE = 2_000
_POLICY = f"""
["checkin.missed"]
steps = [
  {{ channel = "sms", receipt_within_s = {_RECEIPT_S}, retry_within_s = 30 }},
  {{ channel = "push", receipt_within_s = {_RECEIPT_S}, retry_within_s = 30 }},
  {{ channel = "sms", receipt_within_s = {_RECEIPT_S}, retry_within_s = 30, sender = "other" }},
]
"""


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def _steps(caller: Backend) -> None:
    await caller.devices((f"cu{n}", magic.token("silent", n)) for n in range(_UNHEARD))
    unheard = [
        event("checkin.missed", f"u{n}", contact(f"u{n}", magic.number("no_receipt", n)))
        for n in range(_UNHEARD)
    ]
    dropped = [
        event("checkin.confirmed", f"d{n}", contact(f"d{n}", magic.number("drop", n)))
        for n in range(_DROPPED)
    ]
    await caller.post_all([*unheard, *dropped])


async def _bulk(caller: Backend, count: int) -> None:
    left = day("bulk", count, alerts_per_hundred=0)
    while some := list(islice(left, _AT_ONCE)):
        await caller.post_all(some)


async def _traffic(stack: Stack, *, bulk: int, alerts: int) -> dict[str, float]:
    """When each alert was posted, by number, while the bulk drains."""
    posted: dict[str, float] = {}
    async with backend(stack) as caller:
        await _steps(caller)
        filling = asyncio.create_task(_bulk(caller, bulk))
        for n in range(alerts):
            phone = number(bulk + n)
            posted[phone] = time.time()
            await caller.post(event("checkin.missed", f"a{n}", contact(f"a{n}", phone)))
            await asyncio.sleep(0.1)
        await filling
    return posted


def _gaps(entries: list[dict[str, Any]]) -> list[float]:
    """Between the steps of those whom nothing confirms; a step counts from its first call."""
    whose = {magic.number("no_receipt", n): n for n in range(_UNHEARD)}
    whose |= {magic.token("silent", n): n for n in range(_UNHEARD)}
    at: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for entry in entries:
        if (n := whose.get(entry["to"])) is not None:
            step = entry["text"] if entry["provider"] == "twilio" else entry["provider"]
            at[n].setdefault(step, _unix(entry["accepted_at"]))
    assert [len(at[n]) for n in range(_UNHEARD)] == [3] * _UNHEARD, "a step was left out"
    return [
        later - earlier
        for steps in at.values()
        for earlier, later in pairwise(sorted(steps.values()))
    ]


def _play(stack: Stack, row: Scenario, *, bulk: int, alerts: int, within_s: float) -> None:
    stack.policy(_POLICY)
    _, gateway = stack.start_edge()
    gateway.kill()
    clocks = {"gateway": _SKEW_S, "relay-ahead": _SKEW_S, "relay-behind": -_SKEW_S}
    for name, skew in clocks.items():
        stack.environ[altered.SHIFT] = str(skew)
        if name == "gateway":
            stack.start_gateway()
        else:
            stack.start_relay(name)
    posted = asyncio.run(_traffic(stack, bulk=bulk, alerts=alerts))
    wait_for(
        lambda: stack.query("SELECT count(*) FROM due") == [(0,)],
        within_s=within_s,
        what="nothing open",
    )
    entries = stack.entries()
    sent = {entry["to"]: _unix(entry["accepted_at"]) for entry in reversed(entries)}
    took = [sent[phone] - at for phone, at in posted.items()]
    verdict = judge(stack)
    early = min(_gaps(entries)) - _RECEIPT_S
    texts = [entry["to"] for entry in entries if entry["provider"] == "twilio"]
    row.tries = bulk + alerts + _UNHEARD + _DROPPED
    row.lost = len(verdict.lost) + sum(number(n) not in sent for n in range(bulk))
    row.duplicated = sum(times for kinds in verdict.doubled.values() for times in kinds.values())
    # FCM cannot be asked, and an alert prefers a duplicate: on a machine that is too busy, too.
    unknown = stack.query(
        "SELECT count(*) FROM attempt WHERE provider = 'fcm' AND (stale OR result ="
        f" '{Result.OUTCOME_UNKNOWN}')"
    )[0][0]
    row.explained = min(unknown, sum(verdict.doubled.get("fcm", {}).values()))
    row.why = (
        f"POST → provider of alerts while {bulk:,} others drain: p50"
        f" {1000 * quantiles(took, n=100)[49]:.0f}, p99 {1000 * quantiles(took, n=100)[98]:.0f} ms;"
        f" no step earlier than {early:.2f} s after its deadline"
    )
    print(f"\n{row.name}: {row.why}; {verdict}")
    assert verdict.agrees(), str(verdict)
    assert early > 0.0, "a step was taken before its time"
    assert [texts.count(magic.number("drop", n)) for n in range(_DROPPED)] == [1] * _DROPPED
    off = "SELECT count(*) FILTER (WHERE at > now() + interval '4 minutes') > 0,"
    off += " count(*) FILTER (WHERE at < now() - interval '4 minutes') > 0 FROM attempt"
    assert stack.query(off) == [(True, True)], "their clocks were not off"


def test_clocks_that_are_five_minutes_off(forked: Stack, scenario: Begin) -> None:
    row = scenario(number=14, name="clocks 5 min ahead and behind")
    _play(forked, row, bulk=1_000, alerts=20, within_s=120)


@pytest.mark.long
def test_clocks_that_are_off_under_a_great_load(forked: Stack, scenario: Begin) -> None:
    """PRUUF_BULK_EVENTS says how many."""
    bulk = int(os.environ.get("PRUUF_BULK_EVENTS", "50000"))
    row = scenario(number=14, name=f"clocks 5 min ahead and behind, {bulk:,} others")
    _play(forked, row, bulk=bulk, alerts=300, within_s=bulk / 50)
