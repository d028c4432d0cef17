"""What *Delivery* says of each country equals what the ledger says of the people who live there."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from dashboard import delivery, reach, readings
from dashboard.delivery import Delivery
from dashboard.frame import WINDOWS
from dashboard.reach import Funnel
from outbox.store import rollup

from .relay_alerted import DEAD_NUMBER
from .relay_fakes import accepted, said
from .relay_hand import Hand, person
from .rollup_world import Counting

_PEOPLE: dict[str, list[tuple[str, str | None]]] = {
    "US": [("c_us1", "+12025550111"), ("c_us2", "+13055550112"), ("c_us3", "+16465550113")],
    "GB": [("c_gb1", "+447400123456"), ("c_gb2", "+447400123457")],
    "CA": [("c_ca1", "+16045550123")],
    "": [("c_none", None)],
}
_DEAD = {"+447400123456", "+16045550123"}
_FIGURES = (
    "SELECT count(*)::integer, count(*) FILTER (WHERE state = 'delivered')::integer,"
    " count(*) FILTER (WHERE state IN ('undeliverable', 'expired', 'suppressed'))::integer"
    " FROM notification WHERE recipient = ANY(%s)"
)
_STEPS = (
    "SELECT a.code, count(*)::integer FROM attempt a JOIN notification n ON n.id = a.notification"
    " WHERE n.recipient = ANY(%s) AND a.channel = 'sms' AND a.result = 'channel_final'"
    " GROUP BY a.code"
)


@pytest.fixture(autouse=True)
def _ids_that_do_not_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup, "_CLOCKS", timedelta(days=1))


async def _play(hand: Hand) -> None:
    hand.twilio.answer = lambda sms: DEAD_NUMBER if sms.to in _DEAD else accepted()
    for people in _PEOPLE.values():
        for one in people:
            await hand.accept(hand.confirmed(person("m")[0], one))
    await hand.work()
    await hand.hear(*(said(one, "delivered") for one in hand.twilio.taken))
    await hand.work()


def _look(url: str) -> Delivery:
    engine = readings.engine(url)
    try:
        with engine.connect() as connection:
            return delivery.look(connection, WINDOWS["6h"])
    finally:
        engine.dispose()


def _funnels(seen: Delivery) -> dict[str, Funnel]:
    found = {row.country for row in seen.reached}
    return {
        code: reach.funnel(row for row in seen.reached if row.country == code) for code in found
    }


def _is_told(hand: Hand, seen: Delivery) -> None:
    """Against the people, whose countries only this test knows."""
    funnels = _funnels(seen)
    assert set(funnels) == set(_PEOPLE)
    for code, people in _PEOPLE.items():
        names = [name for name, _ in people]
        [figures] = hand.rows(_FIGURES, (names,))
        funnel = funnels[code]
        assert (funnel.accepted, funnel.delivered, funnel.missed) == figures, code
        failed = dict(hand.rows(_STEPS, (names,)))
        told: Counter[str] = Counter()
        for step in seen.steps:
            if step.country == code and step.channel == "sms" and step.outcome == "recipient":
                told[step.code] += step.n
        assert dict(told) == failed, code
    assert funnels["US"].delivered == 3
    assert funnels["GB"].delivered == 1


async def test_what_is_counted_and_what_is_not_yet_are_told_by_country(by_hand: Hand) -> None:
    counting = Counting(by_hand)
    url = by_hand.settings.require_database()
    await _play(by_hand)
    _is_told(by_hand, _look(url))
    counting.age(30)
    await counting.count()
    [(kept,)] = by_hand.rows("SELECT count(*) FROM rollup_minute WHERE slo = 'reach'")
    assert kept >= len(_PEOPLE)
    _is_told(by_hand, _look(url))


async def test_what_was_counted_before_there_were_countries_is_of_none(by_hand: Hand) -> None:
    """Also what a relay of the release before goes on counting beside us."""
    by_hand.rows(
        "INSERT INTO rollup_minute SELECT 0, date_trunc('minute', now()) - interval '2 hours',"
        " slo, outcome, 'checkin.confirmed', code, n FROM (VALUES"
        " ('reach', 'delivered', 'sent/sms/sms/10', 7), ('reach', 'missed', 'sent/sms//no_device',"
        " 2), ('sms', 'recipient', '30005', 2)) old (slo, outcome, code, n) RETURNING 1"
    )
    seen = _look(by_hand.settings.require_database())
    [(code, funnel)] = _funnels(seen).items()
    assert (code, funnel.accepted, funnel.within_s(10), funnel.missed) == ("", 9, 7, 2)
    [step] = seen.steps
    assert (step.code, step.country, step.n) == ("30005", "", 2)


async def test_a_number_tells_its_country_and_the_country_no_number(by_hand: Hand) -> None:
    await _play(by_hand)
    told = dict(by_hand.rows("SELECT recipient, country FROM notification"))
    assert told == {name: code or None for code, people in _PEOPLE.items() for name, _ in people}
