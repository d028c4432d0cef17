"""What nobody can carry out is set aside by itself; everything else of its batch goes on."""

from __future__ import annotations

import time
from collections import Counter

import psycopg
import pytest

from gateway.cli.supervisor import Process
from tests.faults.conftest import Begin
from tests.faults.points import CALLS
from tests.faults.stack import Stack, number
from tests.faults.traffic import contact, event
from tests.faults.victims import LATE, LEASES, QUESTIONS, armed, ask, let_pass

_OTHERS = 40
_IMPATIENT = """
["checkin.confirmed"]
steps = [{ channel = "sms", receipt_within_s = 10, retry_within_s = 60 }]
"""
_AT_MOST = 12
"""Relays that one row may take with it; it is set aside long before."""


@pytest.mark.parametrize(
    "kind", ["checkin.confirmed", pytest.param("checkin.missed", marks=pytest.mark.long)]
)
def test_what_kills_every_relay_is_set_aside_and_nothing_else(
    forked: Stack, scenario: Begin, kind: str
) -> None:
    """The relay dies at the call, each time; all others of its batch are in its hands."""
    row = scenario(number=13, name=f"a {kind} that kills each relay that carries it out")
    forked.start_edge()
    poisoned = _OTHERS // 2
    for n in range(_OTHERS):
        ask(forked, "POST", "/v1/events", event(kind, n, contact(n, number(n))))
    began = time.monotonic()
    # As its supervisor would: it is started again as often as it dies.
    while row.tries < _AT_MOST:
        with armed(forked, CALLS["text: before the call"], only=number(poisoned)):
            relay = forked.start("relay", "relay")
        if not _dies(forked, relay):
            break
        row.tries += 1
        let_pass(forked, LEASES)
    row.recovered_s = time.monotonic() - began
    row.why = "time is moved on to the end of each lease (20 s)"
    ledger = forked.ledger()
    times = {n: ledger["twilio", number(n)] for n in range(_OTHERS) if n != poisoned}
    states = {
        int(subject.removeprefix("m")): (state, reason)
        for subject, state, reason in forked.query(
            f"SELECT subject, state, reason FROM notification WHERE kind = '{kind}'"
        )
    }
    print(f"\n{row.tries} relays died; {states[poisoned]}; {set(states.values())}")
    row.lost = sum(n == 0 for n in times.values())
    row.duplicated = sum(n - 1 for n in times.values() if n > 1)
    others = [state for n, (state, _) in states.items() if n != poisoned]
    assert set(others) == {"delivered"}
    if kind == "checkin.missed":
        assert states[poisoned][0] == "undeliverable"
        assert len(forked.entries("operator")) == 1
    else:
        assert states[poisoned] == ("parked", "quarantined")


def test_what_postgres_refuses_to_store_is_set_aside_and_nothing_else(
    forked: Stack, scenario: Begin
) -> None:
    """Its call cannot be written down, nor can any question about it; and no receipt comes."""
    row = scenario(number=13, name="a result that Postgres refuses, in a batch of others")
    forked.policy(_IMPATIENT)
    forked.start_edge()
    forked.faults(provider="twilio", callbacks={"lose": 1.0})
    poisoned = _OTHERS // 2
    said = [
        ask(forked, "POST", "/v1/events", event("checkin.confirmed", n, contact(n, number(n))))
        for n in range(_OTHERS)
    ]
    poison = said[poisoned]["notifications"][0]["id"]
    with psycopg.connect(forked.database_url, autocommit=True) as connection:
        # As a value that is too long, or of another version of this program, would be.
        connection.execute(f"ALTER TABLE attempt ADD CHECK (notification <> '{poison}') NOT VALID")
    relay = forked.start_relay("relay")
    given_up = f"{LEASES} AND notification = '{poison}'"
    began = time.monotonic()
    while _left(forked):
        assert time.monotonic() - began < 120, "it is tried for ever"
        # Nobody holds it any more once its settle was refused: only its lease is left.
        refused = (forked.folder / "relay.log").read_text().count(f"{poison} refused")
        if refused > row.tries:
            row.tries = refused
            let_pass(forked, given_up)
        let_pass(forked, f"{QUESTIONS} OR {LATE}")
        time.sleep(0.1)
    row.recovered_s = time.monotonic() - began
    row.why = "time is moved on to the end of each lease (20 s)"
    assert relay.poll() is None
    states = Counter(
        forked.query("SELECT state FROM notification WHERE kind = 'checkin.confirmed'")
    )
    assert states["delivered",] >= _OTHERS - 1
    assert states.keys() <= {("delivered",), ("parked",), ("undeliverable",)}
    times = [forked.ledger()["twilio", number(n)] for n in range(_OTHERS)]
    row.lost = times.count(0)
    row.duplicated = sum(max(0, n - 1) for n in times)


def _dies(stack: Stack, relay: Process) -> bool:
    """Whether the relay dies before all is done."""
    until = time.monotonic() + 60.0
    while relay.poll() is None and _left(stack):
        assert time.monotonic() < until, "it neither dies nor ends"
        let_pass(stack, QUESTIONS)
        time.sleep(0.1)
    return relay.poll() is not None


def _left(stack: Stack) -> bool:
    """What a relay still has to do."""
    return bool(stack.query("SELECT 1 FROM due WHERE due_at < 'infinity' LIMIT 1"))
