"""``pruuf evidence``: everything that a provider's support asks for, and nothing about a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outbox.domain.outcomes import Result
from tests.integration.cli_process import Cli
from tests.integration.relay_acted_on import make_note

from .conftest import environment
from .relay_fakes import refused, said
from .relay_hand import Hand


@pytest.fixture
def cli(tmp_path: Path, database_url: str) -> Cli:
    return Cli(tmp_path, **environment(database_url))


async def _two_calls(by_hand: Hand) -> tuple[str, str]:
    """One text that a carrier refused, one that arrived; their notifications."""
    bad = await make_note(by_hand)
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[0], "undelivered", "30007"))
    good = await make_note(by_hand)
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[-1], "delivered"))
    return str(bad), str(good)


async def test_the_calls_with_a_bad_end_are_shown(by_hand: Hand, cli: Cli) -> None:
    bad, _ = await _two_calls(by_hand)
    told = cli.run("evidence", "twilio").ended(0).out
    assert "2 calls, 1 with a bad end" in told
    # The fallback has a call of its own.
    query = "SELECT provider_id FROM attempt WHERE notification = %s AND provider = 'twilio'"
    [[sid]] = by_hand.rows(query, [bad])
    assert sid in told
    assert "accepted" in told
    assert "undelivered, 30007" in told
    for secret in ("+1", "1555", "Alice", "Bob"):
        assert secret not in told


async def test_a_program_gets_ids_times_and_our_reference(by_hand: Hand, cli: Cli) -> None:
    bad, good = await _two_calls(by_hand)
    found = json.loads(cli.run("evidence", "twilio", "--every", "--json").ended(0).out)
    assert (found["calls"], found["more"]) == (2, False)
    assert [item["reference"].partition("/")[0] for item in found["items"]] == [good, bad]
    assert [each["status"] for each in found["items"][1]["heard"]] == ["undelivered"]
    assert found["items"][0]["provider_id"].startswith("SM")
    one = cli.run("evidence", "twilio", "--every", "--limit", "1", "--json").ended(0).out
    cut = json.loads(one)
    assert (len(cut["items"]), cut["more"]) == (1, True)


async def test_a_code_is_looked_for_in_answers_and_receipts(by_hand: Hand, cli: Cli) -> None:
    bad, _ = await _two_calls(by_hand)
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    dead = await make_note(by_hand)
    await by_hand.work()
    for code, expected in (("30007", bad), ("21614", str(dead))):
        found = json.loads(cli.run("evidence", "twilio", "--code", code, "--json").ended(0).out)
        assert [item["reference"].partition("/")[0] for item in found["items"]] == [expected]
    nothing = cli.run("evidence", "stripe").ended(0).out
    assert "Stripe" in nothing
    assert "0 calls, 0 with a bad end" in nothing


def test_what_makes_no_sense_is_refused(cli: Cli) -> None:
    assert "accepted: twilio, fcm, stripe" in cli.run("evidence", "carrier").ended(2).err
    refused_time = cli.run("evidence", "twilio", "--since", "1h", "--until", "2h").ended(2)
    assert "ends before it begins" in refused_time.err
