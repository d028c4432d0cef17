"""Cancels race claims: what is answered with *cancelled* is nowhere at a provider."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from uuid import UUID

from gateway.cli.supervisor import Process
from tests.faults.conftest import Begin
from tests.faults.stack import Stack, number
from tests.faults.traffic import Accepted, backend, contact, event

_NOTES = 2_000
_CANCELS = 200
_LATENCY_MS = 200


async def _race(
    stack: Stack, relays: list[Process], chance: random.Random
) -> tuple[dict[str, UUID], dict[str, str]]:
    """Let cancels and relays go at about the same moment; by number: its id, and the answer."""
    notes = [event("checkin.confirmed", n, contact(n, number(n))) for n in range(_NOTES)]
    async with backend(stack) as caller:
        for relay in relays:
            os.kill(relay.pid, signal.SIGSTOP)
        accepted: list[Accepted] = await caller.post_all(notes)
        ids = {number(n): next(iter(a.notifications.values())) for n, a in enumerate(accepted)}
        # Relays claim the oldest first; these lie all over.
        phones = chance.sample(sorted(ids), _CANCELS)
        cancels = [asyncio.create_task(caller.cancel(ids[phone])) for phone in phones]
        # Some are in time for certain; the others meet the claims.
        await asyncio.wait(cancels, return_when=asyncio.FIRST_COMPLETED)
        for relay in relays:
            os.kill(relay.pid, signal.SIGCONT)
        answers = await asyncio.gather(*cancels)
    return ids, dict(zip(phones, answers, strict=True))


def test_200_cancels_race_the_claims_of_two_relays(
    forked: Stack, scenario: Begin, chance: random.Random
) -> None:
    """Answered *cancelled*: never sent. Any other answer: sent at most once."""
    stack = forked
    row = scenario(number=11, name="cancels race the claims of two relays")
    stack.start_edge()
    stack.faults(provider="twilio", latency_ms=_LATENCY_MS)
    relays = [stack.start_relay(name) for name in ("relay-a", "relay-b")]
    ids, answers = asyncio.run(_race(stack, relays, chance))
    waited = stack.wait_until_final(within_s=120)

    texts = Counter(entry["to"] for entry in stack.entries("twilio"))
    states = dict(stack.query("SELECT id, state FROM notification"))
    by_answer = Counter(answers.values())
    cancelled = [phone for phone, answer in answers.items() if answer == "cancelled"]
    print(
        f"\n{_CANCELS} cancels at once against two relays at work on {_NOTES} notes: "
        f"{dict(by_answer)}; {sum(texts[phone] for phone in cancelled)} of the cancelled are in "
        f"the ledger; {Counter(states.values())} {waited:.0f} s later",
    )
    row.lost = sum(state not in {"cancelled", "delivered"} for state in states.values())
    assert len(cancelled) >= 10
    assert len(answers) - len(cancelled) >= 10
    assert all(texts[phone] == 0 for phone in cancelled)
    row.tries, row.recovered_s = len(answers), waited
    row.why = f"answers: {dict(by_answer)}; nothing of what was cancelled is at Twilio"
    row.duplicated = sum(max(0, texts[phone] - 1) for phone in ids)
    for phone, one in ids.items():
        assert (states[one] == "cancelled") == (texts[phone] == 0)
