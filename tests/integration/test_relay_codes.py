"""One-time codes on their way: the text, its end, and the alarm when hardly anybody uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from outbox.domain.codes_conversion import ENOUGH, ENOUGH_TO_STOP
from outbox.domain.ids import new_id
from outbox.domain.outcomes import Result
from outbox.settings import Settings

from .codes import PHONE, Api, Outbox, asked, guessed
from .relay_fakes import UNKNOWN, refused
from .relay_hand import Hand, hand, person


@pytest.fixture
async def by_hand(settings: Settings) -> AsyncIterator[Hand]:
    async with hand(settings) as made:
        yield made


@pytest.fixture
def outbox(settings: Settings) -> Outbox:
    return Outbox(settings)


async def test_the_code_that_is_texted_is_the_one_that_is_approved(api: Api, by_hand: Hand) -> None:
    opened = await asked(api)
    await by_hand.work()
    [taken] = by_hand.twilio.taken
    assert taken.sms.to == PHONE
    # A code that arrives after its end is of no use to anybody but a thief.
    assert taken.sms.validity_s == 600
    code = taken.sms.body[:6]
    assert await guessed(api, opened["id"], code) == ("approved", 0)


async def test_a_code_whose_outcome_is_unknown_is_not_texted_twice(api: Api, by_hand: Hand) -> None:
    await asked(api)
    by_hand.twilio.answer = lambda _: UNKNOWN
    await by_hand.to_the_end()
    assert len(by_hand.twilio.calls) == 1


async def test_a_code_that_could_not_be_sent_in_time_is_never_sent(
    api: Api, by_hand: Hand, outbox: Outbox
) -> None:
    opened = await asked(api)
    by_hand.twilio.answer = lambda _: refused(Result.RETRYABLE, "20429")
    await by_hand.work()
    await by_hand.skip(601)
    by_hand.calm()
    calls = len(by_hand.twilio.calls)
    await by_hand.to_the_end()
    assert len(by_hand.twilio.calls) == calls
    sent = outbox.sent(opened["id"])
    assert sent is not None
    assert by_hand.state(sent.notification)[0] in {"expired", "undeliverable"}
    # Nobody is paged for a code.
    assert by_hand.pager.pages == {}


def _past(url: str, count: int, *, approved: int, minutes: int, country: str = "US") -> None:
    """Verifications that were sent so long ago."""
    with psycopg.connect(url) as connection:
        for n in range(count):
            connection.execute(
                "INSERT INTO verification (shard, id, phone_hash, country, caller, code_hash,"
                " checks_left, created_at, expires_at, approved_at, notification)"
                " VALUES (0, %s, 'x', %s, 'k', 'x', 5, now() - %s, now(), %s, %s)",
                (
                    new_id(0),
                    country,
                    timedelta(minutes=minutes),
                    "2026-11-24 00:00Z" if n < approved else None,
                    new_id(0),
                ),
            )


async def _look(by_hand: Hand) -> None:
    watch = by_hand.parts.housekeeping.codes_watch
    await watch._session.persist(watch.look)
    await by_hand.work()


async def test_the_operator_is_told_once_that_hardly_any_code_is_used(
    by_hand: Hand, outbox: Outbox
) -> None:
    _past(outbox.url, ENOUGH, approved=ENOUGH // 5 - 1, minutes=30)
    _past(outbox.url, ENOUGH, approved=ENOUGH // 5, minutes=30, country="CA")
    await _look(by_hand)
    await _look(by_hand)
    assert by_hand.pager.reasons == ["codes_conversion:US"]
    [page] = by_hand.pager.pages.values()
    assert "only 3 of 20 were used within an hour (15%)" in page.summary
    figure = by_hand.metrics.registry.get_sample_value
    assert figure("pruuf_codes_conversion", {"country": "US"}) == 0.15
    assert figure("pruuf_codes_conversion", {"country": "CA"}) == 0.2
    assert figure("pruuf_codes_hour", {"country": "US"}) == ENOUGH
    await by_hand.skip(3700)
    await _look(by_hand)
    assert by_hand.pager.reasons == ["codes_conversion:US"] * 2


async def test_no_code_goes_where_hardly_any_is_used_until_an_hour_has_passed(
    api: Api, by_hand: Hand, outbox: Outbox
) -> None:
    _past(outbox.url, ENOUGH_TO_STOP, approved=2, minutes=30)
    await _look(by_hand)
    await _look(by_hand)
    assert by_hand.pager.reasons == ["codes_stopped:US"]
    [page] = by_hand.pager.pages.values()
    assert "only 2 of 50 were used" in page.summary
    assert "None goes there for an hour now." in page.summary
    figure = by_hand.metrics.registry.get_sample_value
    assert figure("pruuf_codes_stopped", {"country": "US"}) == 1
    # Who asks is told nothing, and other countries and kinds are not concerned.
    stopped = await asked(api)
    assert outbox.refused(stopped["id"]) == "stopped"
    assert (await guessed(api, stopped["id"], "000000"))[0] == "pending"
    assert outbox.refused((await asked(api, "+14165550123"))["id"]) is None
    await by_hand.work()
    texts = len(by_hand.twilio.calls)
    await by_hand.accept(by_hand.missed(person("m")[0], person()))
    await by_hand.work()
    assert len(by_hand.twilio.calls) == texts + 1
    with psycopg.connect(outbox.url) as connection:
        connection.execute(
            "UPDATE codes_stop SET since = since - interval '61 minutes',"
            " until = until - interval '61 minutes'"
        )
        connection.execute("UPDATE verification SET created_at = created_at - interval '1 hour'")
    assert outbox.refused((await asked(api))["id"]) is None
    await _look(by_hand)
    assert figure("pruuf_codes_stopped", {"country": "US"}) is None


@pytest.mark.parametrize(("count", "approved"), [(ENOUGH_TO_STOP - 1, 0), (ENOUGH_TO_STOP, 3)])
async def test_what_is_merely_bad_is_told_and_not_stopped(
    count: int, approved: int, api: Api, by_hand: Hand, outbox: Outbox
) -> None:
    _past(outbox.url, count, approved=approved, minutes=30)
    await _look(by_hand)
    assert by_hand.pager.reasons == ["codes_conversion:US"]
    assert outbox.refused((await asked(api))["id"]) is None


@pytest.mark.parametrize(
    ("count", "minutes"), [(ENOUGH - 1, 30), (ENOUGH, 9), (ENOUGH, 71)], ids=["few", "new", "old"]
)
async def test_nobody_is_told_of_what_says_nothing(
    count: int, minutes: int, by_hand: Hand, outbox: Outbox
) -> None:
    _past(outbox.url, count, approved=0, minutes=minutes)
    await _look(by_hand)
    assert by_hand.pager.reasons == []


async def test_what_is_too_old_is_cleared_away(api: Api, by_hand: Hand, outbox: Outbox) -> None:
    opened = await asked(api)
    british = await asked(api, "+442079460958")
    with psycopg.connect(outbox.url) as connection:
        connection.execute("UPDATE verification SET created_at = now() - interval '2 days'")
        connection.execute(
            "UPDATE usage_minute SET minute = minute - interval '3 hours' WHERE n = 0"
        )
    watch = by_hand.parts.housekeeping.codes_watch
    while await watch._session.persist(watch.clear):
        pass
    left = by_hand.rows("SELECT id::text FROM verification")
    assert left == [(opened["id"],)]
    assert by_hand.rows("SELECT min(n) FROM usage_minute") == [(1,)]
    # It is answered like any that nobody was given.
    assert await guessed(api, british["id"], "123456") == ("pending", 4)
