"""Receipts before the answer, twice, in any order or never: one state, at most one fallback."""

from __future__ import annotations

import asyncio

import pytest
from msgspec import Struct

from outbox.simulators import magic
from tests.faults.agreement import Books, judge
from tests.faults.conftest import Begin
from tests.faults.stack import Stack, number
from tests.faults.traffic import backend, contact, event
from tests.faults.victims import LATE, let_pass

_EARLY = ("early", "shuffled", "contradicted")
"""Ways of the simulator: before the answer; twice and in reverse; first failed, then delivered."""


class _Run(Struct, frozen=True, kw_only=True):
    """What happens to the callbacks of how many alerts."""

    each: int
    callbacks: dict[str, float | bool]
    in_time: bool
    """Late receipts are asked for in their own time."""


def _alerts(run: _Run) -> list[dict[str, object]]:
    phones = [number(n) for n in range(run.each)]
    phones += [magic.number(way, n) for way in _EARLY for n in range(run.each)]
    # Nobody can be asked for what is told never: its deadline has to fire.
    phones += [magic.number("undelivered_30003", n) for n in range(run.each)]
    return [event("checkin.missed", n, contact(n, phone)) for n, phone in enumerate(phones)]


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (
            _Run(
                each=20,
                callbacks={"lose": 0.3, "duplicate": 0.5, "shuffle": True},
                in_time=False,
            ),
            "early, lost, twice and shuffled",
        ),
        pytest.param(
            _Run(
                each=200,
                callbacks={"lose": 0.5, "duplicate": 0.5, "shuffle": True, "delay_ms": 3_000},
                in_time=True,
            ),
            "early, late, lost, twice and shuffled",
            marks=pytest.mark.long,
        ),
    ],
    ids=["short", "long"],
)
def test_receipts_in_any_order_give_one_state(
    forked: Stack, scenario: Begin, run: _Run, words: str
) -> None:
    row = scenario(number=10, name=f"receipts {words}")
    forked.start_edge()
    forked.faults(provider="twilio", latency_ms=100, callbacks=run.callbacks)
    for name in ("relay-a", "relay-b"):
        forked.start_relay(name)
    alerts = _alerts(run)

    async def post() -> None:
        async with backend(forked) as caller:
            await caller.devices((f"c{n}", magic.token("delivered", n)) for n in range(len(alerts)))
            await caller.post_all(alerts)

    asyncio.run(post())
    row.recovered_s = forked.wait_until_final(
        within_s=240, meanwhile=None if run.in_time else lambda: let_pass(forked, LATE)
    )
    books = Books(forked)
    verdict = judge(books, {})
    states = dict(forked.query("SELECT state, count(*) FROM notification GROUP BY 1"))
    fallbacks = [len(ids) for ids in books.pushes.values() if ids]
    row.tries = len(alerts)
    row.lost = len(alerts) - states.get("delivered", 0)
    row.duplicated = len(verdict.twice) + sum(n - 1 for n in fallbacks)
    row.why = f"{len(fallbacks)} went on to push, once each; {forked.stats()['callbacks']}"
    assert verdict.offenders == []
    assert states == {"delivered": len(alerts)}
    # Each that was told to be undelivered for good, and of the contradicted those in between.
    assert run.each <= len(fallbacks) <= 2 * run.each


def test_a_receipt_that_never_comes_lets_the_deadline_fire_once(
    forked: Stack, scenario: Begin
) -> None:
    """Twilio took them and says nothing, neither by itself nor when it is asked."""
    row = scenario(number=10, name="no receipt, and Twilio says nothing when it is asked")
    forked.policy(_IMPATIENT)
    forked.start_edge()
    for name in ("relay-a", "relay-b"):
        forked.start_relay(name)
    silent = [
        event("checkin.missed", n, contact(n, magic.number("no_receipt", n))) for n in range(30)
    ]

    async def post() -> None:
        async with backend(forked) as caller:
            await caller.devices((f"c{n}", magic.token("delivered", n)) for n in range(len(silent)))
            await caller.post_all(silent)

    asyncio.run(post())
    row.recovered_s = forked.wait_until_final(within_s=60)
    books = Books(forked)
    row.tries = len(silent)
    fallbacks = [len(ids) for ids in books.pushes.values() if ids]
    row.lost = len(silent) - len(fallbacks)
    row.duplicated = sum(n - 1 for n in fallbacks)
    row.duplicated += sum(len(texts) - 1 for one, texts in books.texts.items() if one is not None)
    assert judge(books, {}).offenders == []
    assert forked.query("SELECT DISTINCT state, proof FROM notification") == [("delivered", "app")]


_IMPATIENT = """
["checkin.missed"]
steps = [
  { channel = "sms", receipt_within_s = 3, retry_within_s = 15 },
  { channel = "push", receipt_within_s = 30, retry_within_s = 20 },
]
"""
