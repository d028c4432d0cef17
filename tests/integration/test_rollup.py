"""What the minutes say equals what the facts say, whenever and however often they are counted."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from observability.judging import judge
from observability.slos import definitions
from outbox.domain.outcomes import Result
from outbox.store import objectives, rollup
from outbox.store.connect import Role, connect, conninfo
from tests.integration.relay_alerted import DEAD_NUMBER
from tests.integration.relay_fakes import accepted, acknowledged, refused, said
from tests.integration.relay_hand import Hand, person
from tests.integration.rollup_world import Counting


@pytest.fixture(autouse=True)
def _ids_that_do_not_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is moved into the past keeps its id, which is of now."""
    monkeypatch.setattr(rollup, "_CLOCKS", timedelta(days=1))


async def _a_day(hand: Hand) -> None:
    """Reached by text, by push after a dead number, by nobody but the operator; and texts lost."""
    by_text, by_push, by_page, silent = (person() for _ in range(4))
    dead = {by_push[1], by_page[1]}
    hand.twilio.answer = lambda sms: DEAD_NUMBER if sms.to in dead else accepted()
    await hand.device(by_push[0])
    await hand.accept(hand.missed(person("m")[0], by_text))
    await hand.accept(hand.missed(person("m")[0], by_push))
    await hand.accept(hand.missed(person("m")[0], by_page))
    await hand.accept(hand.confirmed(person("m")[0], silent))
    await hand.accept(hand.invited(person("i")))
    await hand.work()
    await hand.hear(
        *(said(one, "delivered") for one in hand.twilio.taken if one.sms.to == by_text[1]),
        *(acknowledged(reference) for _, reference in hand.fcm.taken),
    )
    refusal = next(one for one in hand.twilio.taken if one.sms.to not in {by_text[1], silent[1]})
    await hand.hear(said(refusal, "undelivered", "30007"))
    await hand.work()


async def test_every_outcome_is_counted_as_the_objectives_name_it(by_hand: Hand) -> None:
    counting = Counting(by_hand)
    await _a_day(by_hand)
    counting.called_after(0.9)
    counting.age(30)
    await counting.count()
    # The text that nobody heard of again is unknown; two numbers are dead.
    assert counting.outcomes("sms") == {"delivered": 1, "recipient": 2, "refused": 1, "unknown": 1}
    assert counting.outcomes("push") == {"delivered": 1, "recipient": 1}
    assert counting.outcomes("alerts") == {"reached": 2, "paged": 1}
    assert counting.outcomes("first_call") == {"prompt": 4}
    assert counting.outcomes("webhooks") == {"applied": 3}
    assert by_hand.rows("SELECT DISTINCT code FROM rollup_minute WHERE outcome = 'refused'") == [
        ("30007@US",)
    ]
    assert {
        kind for (kind,) in by_hand.rows("SELECT kind FROM rollup_minute WHERE slo = 'sms'")
    } == {
        "checkin.missed",
        "checkin.confirmed",
        "member.invited",
    }


async def test_the_sums_equal_an_independent_count_of_the_facts(by_hand: Hand) -> None:
    counting = Counting(by_hand)
    await _a_day(by_hand)
    counting.age(30)
    await counting.count()
    ((steps,),) = by_hand.rows(
        "SELECT count(DISTINCT (notification, step)) FROM attempt"
        " WHERE channel = 'sms' AND what <> 'ask'"
    )
    ((carried,),) = by_hand.rows(
        "SELECT count(DISTINCT (notification, step)) FROM receipt"
        " WHERE rank >= 9 AND source = 'twilio'"
    )
    texts = counting.outcomes("sms")
    assert sum(texts.values()) == steps
    assert texts["delivered"] == carried
    ((alerts,),) = by_hand.rows("SELECT count(*) FROM event WHERE type = 'checkin.missed'")
    assert sum(counting.outcomes("alerts").values()) == alerts
    ((heard,),) = by_hand.rows("SELECT count(*) FROM inbox")
    assert sum(counting.outcomes("webhooks").values()) == heard


async def test_what_is_counted_is_what_the_evaluator_tells(
    by_hand: Hand, database_url: str
) -> None:
    counting = Counting(by_hand)
    await _a_day(by_hand)
    counting.age(30)
    await counting.count()
    with psycopg.connect(conninfo(database_url, Role.DASHBOARD, application="tests")) as reader:
        seen = objectives.look(reader, definitions())
    judgement = judge(definitions(), seen.counted, [])
    texts = next(each for each in judgement.standings if each.key == "sms")
    assert (texts.good, texts.bad) == (1, 2)
    assert texts.rate == pytest.approx(1 / 3)
    assert texts.raw == pytest.approx(1 / 5)
    assert not texts.met
    # Prometheus' counters say the same.
    registry = by_hand.metrics.registry
    labels = {"slo": "sms", "outcome": "unknown", "verdict": "bad"}
    assert registry.get_sample_value("pruuf_slo_outcomes_total", labels) == 1.0


async def test_counting_again_or_by_two_relays_changes_nothing(
    by_hand: Hand,
) -> None:
    counting = Counting(by_hand)
    await _a_day(by_hand)
    counting.age(30)
    url = by_hand.settings.require_database()
    async with await connect(url, Role.RELAY, application="tests-another") as another:

        async def elsewhere() -> None:
            for key in rollup.waits():
                while (await rollup.count(another, key, most=timedelta(minutes=7))).behind:
                    pass

        await asyncio.gather(counting.count(), elsewhere())
    assert sum(counting.outcomes("sms").values()) == 5
    before = by_hand.rows("SELECT * FROM rollup_minute ORDER BY slo, minute, outcome, kind, code")
    await counting.count()
    assert before == by_hand.rows(
        "SELECT * FROM rollup_minute ORDER BY slo, minute, outcome, kind, code"
    )


async def test_small_rounds_come_to_the_same_as_large_ones(by_hand: Hand) -> None:
    counting = Counting(by_hand)
    await _a_day(by_hand)
    counting.age(20)
    await _a_day(by_hand)
    counting.age(15)
    await counting.count()
    expected = {slo: counting.outcomes(slo) for slo in definitions().slo}
    by_hand._owner.execute("TRUNCATE rollup_minute")
    by_hand._owner.execute("UPDATE rollup_head SET until = until - interval '1 hour'")
    measuring = by_hand.parts.measuring
    connection = await measuring._session.get()
    for key in rollup.waits():
        while (await rollup.count(connection, key, most=timedelta(minutes=4))).behind:
            pass
    assert {slo: counting.outcomes(slo) for slo in definitions().slo} == expected


async def test_a_minute_is_counted_when_nothing_can_still_be_stored_with_its_time(
    by_hand: Hand,
) -> None:
    counting = Counting(by_hand)
    await _a_day(by_hand)
    await counting.count()
    assert counting.outcomes("sms") == {}
    counting.age(7)
    await counting.count()
    assert sum(counting.outcomes("sms").values()) == 5


async def test_a_word_that_comes_too_late_is_counted_in_its_own_minute_once(by_hand: Hand) -> None:
    counting = Counting(by_hand)
    await by_hand.accept(by_hand.invited(person("i")))
    await by_hand.work()
    counting.age(30)
    await counting.count()
    (text,) = by_hand.twilio.taken
    await by_hand.hear(said(text, "delivered"))
    await by_hand.hear(said(text, "read"))
    counting.age(10)
    await counting.count()
    assert counting.outcomes("sms") == {"unknown": 1, "late": 1}


async def test_a_check_in_in_time_is_no_alert_that_failed(by_hand: Hand) -> None:
    counting = Counting(by_hand)
    member, contact = person("m")[0], person()
    await by_hand.accept(by_hand.missed(member, contact))
    await by_hand.accept(by_hand.confirmed(member, contact, hour=1))
    await by_hand.accept(by_hand.missed(member, contact, hour=0))
    counting.age(30)
    await counting.count()
    assert counting.outcomes("alerts") == {"withdrawn": 2}
    assert counting.outcomes("first_call") == {"withdrawn": 2}


async def test_nothing_known_of_an_alert_is_bad(by_hand: Hand) -> None:
    counting = Counting(by_hand)
    by_hand.twilio.answer = lambda _: refused(Result.RETRYABLE, "503")
    await by_hand.accept(by_hand.missed(person("m")[0], person()))
    await by_hand.once()
    await by_hand.accept(by_hand.missed(person("m")[0], person()))
    counting.called_after(1.1)
    counting.age(30)
    await counting.count()
    assert counting.outcomes("alerts") == {"unreached": 2}
    assert counting.outcomes("sms") == {"unsent": 1}
    assert counting.outcomes("first_call") == {"slow": 1, "never": 1}


async def test_minutes_are_kept_for_400_days(by_hand: Hand) -> None:
    by_hand._owner.execute(
        "INSERT INTO rollup_minute SELECT 0, date_trunc('minute', now()) - days * interval '1 day',"
        " 'sms', 'delivered', '', '', 1 FROM unnest(ARRAY[399, 401]) days"
    )
    measuring = by_hand.parts.measuring
    assert await measuring._session.persist(rollup.forget) == 1
    assert await measuring._session.persist(rollup.forget) == 0
