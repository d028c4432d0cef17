"""What is finished and old loses its texts; what is not keeps them, and the ledger stays sound."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from gateway.cli import verbs
from outbox.domain.inbound import Inbound
from outbox.domain.outcomes import Result
from outbox.domain.policy import Keep
from outbox.relay.retaining import Retention
from outbox.settings import NAMES, Settings
from outbox.store import actions, inbox, retention
from outbox.store.connect import Connection, Role, connect
from outbox.store.retention_kinds import KINDS

from .audit_world import audited, build, contact, named, near, proven
from .conftest import environment
from .relay_alerted import check_in, raise_alert, texts_to
from .relay_fakes import refused, said
from .relay_hand import Hand, hand

# What is finished is old at once: a policy takes no span as short as this.
AT_ONCE = Keep(texts_days=0, callbacks_days=0, figures_days=0)


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[Connection]:
    url = settings.require_database()
    async with await connect(url, Role.RELAY, application="test") as connection:
        yield connection


def _retention(by_hand: Hand, keep: Keep = AT_ONCE) -> Retention:
    session = by_hand.parts.housekeeping.retention._session
    return Retention(session=session, keep=keep, metrics=by_hand.metrics)


def _ledger(by_hand: Hand) -> list[tuple[object, ...]]:
    return by_hand.rows(
        "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM notification),"
        " (SELECT count(*) FROM attempt), (SELECT count(*) FROM receipt),"
        " (SELECT count(*) FROM due), (SELECT string_agg(state, ' ' ORDER BY id) FROM notification)"
    )


async def test_what_is_finished_loses_its_texts_and_the_ledger_stays_sound(by_hand: Hand) -> None:
    await build(by_hand)
    by_hand._owner.execute("UPDATE revocation SET decided_at = now(), decision = 'ignored'")
    by_hand._owner.execute(
        "UPDATE inbox SET note = 'cannot be read' WHERE id = (SELECT id FROM inbox"
        " WHERE done_at IS NOT NULL AND provider = 'twilio_inbound' LIMIT 1)"
    )
    await proven(by_hand.settings)
    ledger, [(waiting,)] = (
        _ledger(by_hand),
        by_hand.rows("SELECT count(*) FROM inbox WHERE done_at IS NULL"),
    )
    assert waiting
    assert await _retention(by_hand).look() >= 19
    assert _ledger(by_hand) == ledger
    assert by_hand.rows(
        "SELECT final_at IS NOT NULL, length(content) = 0, content_dropped_at IS NOT NULL,"
        " count(*) FROM notification GROUP BY 1, 2, 3 ORDER BY 1"
    ) == [(False, False, False, 6), (True, True, True, 11)]
    # A body stays as long as anything of its event is unfinished.
    assert by_hand.rows(
        "SELECT bool_and((length(e.data) > 0) = EXISTS (SELECT FROM notification n"
        " WHERE n.event = e.id AND n.final_at IS NULL)) FROM event e"
    ) == [(True,)]
    # What waits, or could not be applied, is somebody's work.
    assert by_hand.rows(
        "SELECT count(*) FILTER (WHERE done_at IS NULL), count(*) FILTER (WHERE note LIKE"
        " 'cannot be %'), count(*) FROM inbox"
    ) == [(waiting, 1, waiting + 1)]
    assert by_hand.rows("SELECT DISTINCT length(body) FROM revocation") == [(0,)]
    assert named(await audited(by_hand.settings, shards=None)) == set()
    value = by_hand.metrics.registry.get_sample_value
    assert value("pruuf_retention_until_timestamp_seconds", {"what": "texts"})
    # Once more there is nothing to do; and what went on ends as ever, and then goes.
    assert await _retention(by_hand).look() == 0
    await by_hand.apply()
    await by_hand.to_the_end()
    assert await _retention(by_hand).look() > 0
    assert by_hand.rows(
        "SELECT count(*) FROM notification WHERE (length(content) > 0) <> (final_at IS NULL)"
    ) == [(0,)]


async def test_what_is_kept_as_long_as_the_policy_says_is_not_touched(by_hand: Hand) -> None:
    await build(by_hand)
    assert await _retention(by_hand, Keep()).look() == 0
    assert by_hand.rows("SELECT count(*) FROM notification WHERE length(content) = 0") == [(0,)]


async def test_many_rows_go_in_small_transactions(
    by_hand: Hand, relay: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    await build(by_hand)
    texts, steps, rows = KINDS[0], 0, 0
    dropped = await retention.drop(relay, texts, AT_ONCE)
    while dropped.more:
        assert dropped.rows <= 2
        steps, rows = steps + 1, rows + dropped.rows
        dropped = await retention.drop(relay, texts, AT_ONCE, step=dropped.step)
    assert steps >= 5
    assert rows + dropped.rows == 11


async def test_one_relay_of_all_drops(by_hand: Hand, relay: Connection) -> None:
    await build(by_hand)
    with by_hand._owner.transaction():
        by_hand._owner.execute("SELECT FROM retention FOR UPDATE")
        for kind in KINDS:
            assert await retention.drop(relay, kind, AT_ONCE) == retention.Dropped()
    assert await _retention(by_hand)._drop(KINDS[0]) == 11


async def test_what_ends_long_after_it_came_goes_too(by_hand: Hand) -> None:
    await by_hand.accept(by_hand.confirmed(near("m"), contact(by_hand)))
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[-1], "delivered"))
    # Its id is no younger than its end.
    by_hand._owner.execute(
        "UPDATE notification SET created_at = now() - interval '20 days',"
        " final_at = now() - interval '1 day', id = (lpad(to_hex((extract(epoch FROM"
        " now() - interval '25 hours') * 1000)::bigint), 12, '0')"
        " || substr(replace(id::text, '-', ''), 13))::uuid"
    )
    late = next(kind for kind in KINDS if kind.what == "late_texts")
    assert await _retention(by_hand)._drop(late) == 1
    assert by_hand.rows(
        "SELECT length(content), length((SELECT data FROM event)) FROM notification"
    ) == [(0, 0)]


async def test_keys_go_when_their_time_is_over_and_those_of_alerts_never(by_hand: Hand) -> None:
    await build(by_hand)
    by_hand._owner.execute(
        "UPDATE event_key SET created_at = created_at - interval '31 days',"
        " expires_at = created_at - interval '1 day' + (expires_at - expires_at)"
    )
    by_hand._owner.execute("UPDATE event SET accepted_at = accepted_at - interval '31 days'")
    by_hand._owner.execute(
        "UPDATE event SET type = 'member.invited' WHERE id IN"
        " (SELECT event FROM event_key WHERE expires_at IS NOT NULL)"
    )
    await proven(by_hand.settings)
    [(short, forever)] = by_hand.rows(
        "SELECT count(expires_at), count(*) - count(expires_at) FROM event_key"
    )
    assert short
    keys = next(kind for kind in KINDS if kind.what == "keys")
    # From the day of the oldest partition on: these are older than any.
    by_hand._owner.execute("UPDATE retention SET until = now() - interval '40 days'")
    retaining = _retention(by_hand, Keep())
    assert await retaining._drop(keys) == short
    assert by_hand.rows("SELECT count(*) FROM event_key") == [(forever,)]
    found = named(await audited(by_hand.settings, shards=None))
    assert {each for each in found if "key" in each[0] or each[0].startswith("row_")} == set()
    # Of those that are kept for ever each one is missed.
    [(gone,)] = by_hand.rows(
        "DELETE FROM event_key WHERE event = (SELECT id FROM event WHERE type = 'checkin.missed'"
        " ORDER BY id LIMIT 1) RETURNING event"
    )
    found = named(await audited(by_hand.settings, shards=None))
    assert {
        ("row_missing", "event_key", str(gone)),
        ("event_without_key", "event", str(gone)),
    } <= found


async def test_what_lost_its_texts_cannot_be_sent_again(by_hand: Hand) -> None:
    by_hand.twilio.answer = lambda _: refused(Result.CHANNEL_FINAL, "21614")
    told = await by_hand.accept(by_hand.confirmed(near("m"), someone := contact(by_hand)))
    await by_hand.to_the_end()
    assert by_hand.state(told[someone[0]])[0] == "undeliverable"
    await _retention(by_hand).look()
    done = await actions.redrive(
        await by_hand.gateway(), told[someone[0]], actor="somebody", reason="again"
    )
    assert done is not None
    assert (done.result, done.state) == ("already_final", "undeliverable")


async def test_an_opt_out_of_somebody_whose_texts_are_gone_tells_nobody(by_hand: Hand) -> None:
    someone, other = contact(by_hand), contact(by_hand)
    await by_hand.accept(by_hand.confirmed(near("m"), someone, other))
    await by_hand.work()
    for taken in by_hand.twilio.taken:
        await by_hand.hear(said(taken, "delivered"))
    await _retention(by_hand).look()
    connection = await by_hand.gateway()
    text = Inbound(phone=someone[1], to="+12025550191", body="STOP", provider_id="SM-stop")
    async with connection.transaction():
        await inbox.store(connection, [inbox.sealed_text(by_hand.sealer, text)])
    await by_hand.work()
    assert by_hand.rows("SELECT followed_at IS NOT NULL FROM suppression") == [(True,)]
    assert by_hand.rows("SELECT count(*) FROM notification") == [(2,)]


async def test_a_check_in_ends_an_alert_whose_texts_are_gone(by_hand: Hand) -> None:
    """An alert that nobody answered for so long: its Contacts get the note of the check-in."""
    alerted = await raise_alert(by_hand)
    await by_hand.work()
    await by_hand.hear(said(by_hand.twilio.taken[-1], "delivered"))
    await _retention(by_hand).look()
    made = await check_in(by_hand, alerted)
    assert made[alerted.contact[0]][0] == "checkin.confirmed"
    await by_hand.work()
    assert texts_to(by_hand, alerted) == ["alert", "Alice"]
    assert named(await audited(by_hand.settings, shards=None)) == set()


def test_the_command_says_what_would_go_and_drops_it(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url) as owner:
        owner.execute(
            "INSERT INTO rollup_minute SELECT 0, date_trunc('minute', now(), 'UTC') -"
            " n * interval '1 day', 'slo', 'good', '', '', 1 FROM generate_series(30, 39) n"
        )
    (tmp_path / "policy.toml").write_text("[keep]\nfigures_days = 35\n", encoding="utf-8")
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment(database_url), "PRUUF_POLICY": "policy.toml"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def said(*words: str) -> str:
        done = CliRunner().invoke(verbs.app, ["retain", *words], prog_name="pruuf")
        assert done.exit_code == 0, done.output
        return done.output

    for _ in range(2):
        told = json.loads(said("--dry-run", "--json"))
        assert {each["what"]: each["rows"] for each in told["kinds"]}["figures"] == 5
    assert "5 rows would lose what is kept no longer" in said("--dry-run")
    assert "5 rows lost what is kept no longer" in said()
    assert "nothing is old enough to go" in said()
    with psycopg.connect(database_url) as owner:
        left = owner.execute("SELECT count(*) FROM rollup_minute").fetchone()
    assert left == (5,)


def test_no_window_is_longer_than_a_day() -> None:
    assert retention.Dropped().step == timedelta(days=1)
