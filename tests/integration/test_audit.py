"""The audit's roots behind the intake, its pass of each minute, and what a person is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from outbox.domain.facts import Seals
from outbox.domain.outcomes import Result
from outbox.settings import Settings
from outbox.store import actions, audit_pass
from outbox.store.audit_roots import LAG_S, extend
from outbox.store.connect import Connection, Role, connect
from tests.integration.cli_process import Cli

from .audit_world import AHEAD, aged, audited, build, contact, named, near, proven
from .conftest import environment
from .relay_fakes import accepted, refused, said
from .relay_hand import Hand, hand


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


@pytest.fixture
async def auditor(settings: Settings) -> AsyncIterator[Connection]:
    url = settings.require_database()
    async with await connect(url, Role.AUDITOR, application="test") as connection:
        yield connection


@pytest.fixture
def seals(settings: Settings) -> Seals:
    return Seals(settings.lookup_keys)


async def _delivered(by_hand: Hand) -> Any:  # noqa: ANN401 - an id
    someone = contact(by_hand)
    told = await by_hand.accept(by_hand.confirmed(near("m"), someone))
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[-1], "delivered"))
    return told[someone[0]]


async def test_a_minute_gets_its_root_only_when_nothing_can_come_into_it(
    by_hand: Hand, auditor: Connection, seals: Seals
) -> None:
    await _delivered(by_hand)
    for _ in range(3):
        extended, _ = await extend(auditor, seals)
        assert extended.facts == 0
    assert by_hand.rows("SELECT count(*) FROM audit_root") == [(0,)]
    # What was stored long ago has a root at once; of now there is none.
    by_hand.rows("UPDATE event SET accepted_at = accepted_at - interval '1 hour' RETURNING 1")
    await proven(by_hand.settings, lag_s=LAG_S)
    assert by_hand.rows("SELECT sum(facts) FROM audit_root") == [(1,)]
    assert by_hand.rows("SELECT bool_and(until < now() - interval '30 s') FROM audit_head") == [
        (True,)
    ]


async def test_many_facts_are_taken_in_short_steps(
    by_hand: Hand, auditor: Connection, seals: Seals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outbox.store.audit_roots._MANY", 6)
    await _delivered(by_hand)
    await extend(auditor, seals, lag_s=AHEAD)
    extended, _ = await extend(auditor, seals, lag_s=AHEAD, step=timedelta(days=9))
    steps = 1
    while extended.more:
        before = extended
        extended, step = await extend(auditor, seals, step=timedelta(days=9), closed=before.closed)
        steps += 1
        assert step <= timedelta(hours=6)
    assert steps > 3
    assert by_hand.rows("SELECT sum(facts) FROM audit_root") == [(6,)]


async def test_no_root_is_made_while_something_of_before_may_still_commit(
    by_hand: Hand, auditor: Connection, seals: Seals, database_url: str
) -> None:
    await extend(auditor, seals, lag_s=AHEAD)
    with psycopg.connect(database_url) as late:
        # Like a commit that waits for its standby: it has its number, and is not seen yet.
        late.execute("UPDATE lane SET low = low WHERE shard = 0")
        await extend(auditor, seals, lag_s=AHEAD)
        before, _ = await extend(auditor, seals, lag_s=AHEAD)
        again, _ = await extend(auditor, seals, lag_s=AHEAD)
        assert again.until == before.until
        late.commit()
    after, _ = await extend(auditor, seals, lag_s=AHEAD)
    assert after.until != before.until


async def test_what_was_under_way_as_the_newest_holds_the_roots_up_as_well(
    by_hand: Hand, auditor: Connection, seals: Seals, database_url: str
) -> None:
    """Also where nothing that began after it has ended."""
    await extend(auditor, seals, lag_s=AHEAD)
    with psycopg.connect(database_url) as late:
        late.execute("UPDATE lane SET low = low WHERE shard = 0")
        await extend(auditor, seals, lag_s=AHEAD)
        seen = by_hand.rows("SELECT DISTINCT seen_at FROM audit_head")
        await extend(auditor, seals, lag_s=AHEAD)
        assert by_hand.rows("SELECT DISTINCT seen_at FROM audit_head") == seen
        late.commit()
    await extend(auditor, seals, lag_s=AHEAD)
    assert by_hand.rows("SELECT DISTINCT seen_at FROM audit_head") != seen


async def test_a_notification_that_ends_anew_is_explained_by_what_ended_it(by_hand: Hand) -> None:
    """A late receipt, and a person: both leave the fact that says so."""
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    told = await by_hand.accept(by_hand.confirmed(near("m"), contact(by_hand), contact(by_hand)))
    await by_hand.work()
    by_hand.twilio.answer = lambda _: accepted()
    late, redriven = told.values()
    aged(by_hand.settings)
    await proven(by_hand.settings, lag_s=LAG_S)
    assert by_hand.rows("SELECT sum(facts) > 5 FROM audit_root") == [(True,)]
    connection = await by_hand.gateway()
    await actions.redrive(connection, redriven, actor="somebody", reason="a new number")
    assert named(await audited(by_hand.settings)) == set()
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[-1], "delivered"))
    heard = replace(said(by_hand.twilio.taken[-1], "delivered"), notification=late, fence=1)
    await by_hand.hear(heard)
    assert [by_hand.state(each)[0] for each in (late, redriven)] == ["delivered", "delivered"]
    assert named(await audited(by_hand.settings)) == set()
    # Without it the same is a change by hand.
    by_hand._owner.execute("DELETE FROM action")
    by_hand._owner.execute("DELETE FROM receipt WHERE notification = %s", (redriven,))
    assert ("row_altered", "notification", str(redriven)) in named(await audited(by_hand.settings))


async def test_an_erasure_breaks_nothing(by_hand: Hand) -> None:
    await build(by_hand)
    await proven(by_hand.settings)
    for statement in (
        "UPDATE event SET data = ''",
        "DELETE FROM device",
        "UPDATE inbox SET body = ''",
        "UPDATE revocation SET body = ''",
        "DELETE FROM recipient",
    ):
        by_hand._owner.execute(statement.encode())
    by_hand._owner.execute(
        "UPDATE notification SET content = '', content_dropped_at = now()"
        " WHERE final_at IS NOT NULL"
    )
    assert named(await audited(by_hand.settings)) == set()


async def test_a_pass_finds_what_happened_since_and_checks_older_roots_anew(
    by_hand: Hand, auditor: Connection, seals: Seals
) -> None:
    await build(by_hand)
    await proven(by_hand.settings)
    made, found = await audit_pass.make(auditor, seals, None)
    assert found == []
    assert (made.accepted, made.final, made.pending, made.parked) == (17, 11, 5, 1)
    assert made.clean_at == made.at
    by_hand._owner.execute("DELETE FROM due WHERE work = 1")
    by_hand._owner.execute("UPDATE attempt SET result = 'warning' WHERE channel = 'sms'")
    made, found = await audit_pass.make(auditor, seals, made)
    assert made.offenders["open_without_due"] == 3
    assert set(made.offenders) == {"open_without_due", "row_altered"}
    stored, age_s = await audit_pass.newest(auditor)
    assert stored is not None
    assert stored.clean_at is not None
    assert stored.clean_at < stored.at
    assert age_s < 60


async def test_every_relay_shows_the_newest_pass(by_hand: Hand) -> None:
    await build(by_hand)
    by_hand._owner.execute("DELETE FROM due WHERE work = 1")
    await by_hand.parts.auditor.look()
    registry: CollectorRegistry = by_hand.metrics.registry
    value = registry.get_sample_value
    assert value("pruuf_audit_offenders", {"check": "open_without_due"}) == 3
    assert value("pruuf_audit_notifications", {"standing": "accepted"}) == 17
    assert value("pruuf_audit_clean_timestamp_seconds") == 0
    assert value("pruuf_audit_pass_timestamp_seconds") is not None
    # Another relay shows the same and does not look again.
    async with hand(by_hand.settings) as other:
        before = by_hand.rows("SELECT at FROM audit_pass")
        await other.parts.auditor.look()
        assert by_hand.rows("SELECT at FROM audit_pass") == before
        shown = other.metrics.registry.get_sample_value
        assert shown("pruuf_audit_offenders", {"check": "open_without_due"}) == 3


async def test_nothing_that_goes_wrong_in_it_stops_a_relay(by_hand: Hand) -> None:
    by_hand._owner.execute("DROP TABLE audit_count")
    await by_hand.parts.auditor.look()
    faults = by_hand.metrics.registry.get_sample_value(
        "pruuf_relay_faults_total", {"part": "audit"}
    )
    assert faults == 1


async def test_a_person_is_told_the_verdict_first_and_the_next_step_last(
    by_hand: Hand, tmp_path: Path
) -> None:
    cli = Cli(tmp_path, **environment(by_hand.settings.require_database()))
    await build(by_hand)
    await proven(by_hand.settings)
    shown = cli.run("audit").ended(0).out.splitlines()
    assert shown[0] == ("✓ nothing is lost: 17 accepted = 11 final, 5 pending, 1 parked")
    assert any(line.startswith(" proven by roots: everything until 20") for line in shown)
    known = json.loads(cli.run("audit", "--json", "--since", "1d").ended(0).out)
    assert known["ok"] is True
    assert known["offenders"] == []
    [(gone,)] = by_hand.rows("SELECT notification FROM due WHERE due_at = 'infinity'")
    by_hand._owner.execute("DELETE FROM due WHERE due_at = 'infinity'")
    shown = cli.run("audit").ended(1).out.splitlines()
    assert shown[0].startswith("✗ ")
    assert "17 accepted ≠ 11 final, 5 pending, 0 parked" in shown[0]
    assert f"   {gone}" in shown
    assert any(line.startswith("   → ") for line in shown)
    known = json.loads(cli.run("audit", "--json").ended(1).out)
    assert (known["ok"], known["accepted"], known["parked"]) == (False, 17, 0)
    lost = {"table": "notification", "id": str(gone), "check": "open_without_due"}
    assert any(lost.items() <= each.items() for each in known["offenders"])
