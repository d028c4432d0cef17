"""Page *Now*: what fires, where each objective stands, and the outbox in one line; worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import streamlit as st
from msgspec import Struct
from sqlalchemy import Connection, text

from dashboard import acknowledging, frame, holding, theme, tiles, words
from dashboard.frame import address, zone
from dashboard.readings import Readings, below
from dashboard.theme import Sentence
from dashboard.tiles import Day, Tile
from observability import telling
from observability.burn import Outcomes, burn_rate, counts
from observability.judging import Firing, Judgement, Standing, hidden, judge
from observability.slos import Slo, definitions
from outbox import wording
from outbox.domain.acknowledging import Acknowledgement
from outbox.store import holds, objectives, seen_days
from outbox.store.holds import Hold
from outbox.store.objectives import Seen

_REFRESH_S = 5
_KEPT_S = 3.0
_DAYS_KEPT_S = 300.0
_PAGES = {
    "alerts": address("delivery", window="30d", kind="checkin.missed"),
    "sms": address("delivery", window="30d", channel="sms"),
    "push": address("delivery", window="30d", channel="push"),
    "webhooks": address("webhooks", window="30d"),
    "billing": address("billing"),
    "events": address("outbox"),
    "first_call": address("outbox"),
}
"""Where an objective is looked at closer, over the same time."""
_WHO = {
    "MissedCheckinBad": address("find", kind="checkin.missed", state="undeliverable"),
    "SafetyUnresolved": address("find", kind="checkin.missed"),
    "ConfigurationFault": address("find", state="parked"),
    "Parked": address("find", state="parked"),
}
"""Who is affected, where a list tells it."""


class Standings(Struct, frozen=True, kw_only=True):
    """One look of the evaluator."""

    at: datetime
    judgement: Judgement
    seen: Seen
    days: seen_days.Days
    in_flight: int
    holds: list[Hold]


def page() -> None:
    """The page; only its inner part is drawn anew by itself."""
    st.title("Now", anchor=False)
    source = frame.source()
    acknowledging.chosen()
    frame.live(
        lambda: _read(source),
        _show,
        every_s=_REFRESH_S,
        unknown="Whether alerts reach people is unknown.",
        at=lambda standings: standings.at,
    )


def _read(source: Readings) -> Standings:
    slos = list(definitions().slo)
    days = source.read(
        "days",
        lambda connection: seen_days.days(below(connection), slos, days=29),
        keep_s=_DAYS_KEPT_S,
    )

    def ask(connection: Connection) -> Standings:
        seen = objectives.look(below(connection), definitions())
        readings = ((each.measure, each.label, each.value) for each in seen.readings)
        row = connection.execute(text("SELECT now(), coalesce(sum(in_flight), 0) FROM relay")).one()
        return Standings(
            at=row[0],
            judgement=judge(definitions(), seen.counted, readings),
            seen=seen,
            days=days,
            in_flight=row[1],
            holds=holds.in_force(below(connection)),
        )

    return source.read("now", ask, keep_s=_KEPT_S)


def _show(standings: Standings) -> None:
    _firing(standings)
    tiles.show([_tile(each, standings) for each in standings.judgement.standings])
    _outbox(standings)


def _firing(standings: Standings) -> None:
    firing = standings.judgement.firing
    follows = hidden(definitions(), firing)
    acknowledged = standings.seen.acknowledged
    said = [_fires(each, acknowledged) for each in firing if each.key not in follows]
    if not said:
        said = [Sentence("good", "Nothing fires: every promise is being kept, as far as is known.")]
    theme.say(*said, *holding.sentences(standings.holds))
    behind = [each.headline for each in firing if each.key in follows]
    if behind:
        theme.soft(f"Follows from that: {'; '.join(behind)}.")


def _fires(each: Firing, acknowledged: Sequence[Acknowledgement]) -> Sentence:
    wakes = "wakes somebody" if each.severity == "page" else "can wait for the day"
    if each.told_by_relays:
        wakes = "the person on call was told"
    links = [("Who", _WHO[each.name])] if each.name in _WHO else []
    links.append(("Runbook", address("runbooks", page=each.runbook)))
    links.append(("Acknowledge", acknowledging.where(*each.key)))
    woke = each.severity == "page" or each.told_by_relays
    tone: Literal["bad", "look"] = "bad" if woke else "look"
    # Whom it would wake is of no interest where somebody knows.
    then = acknowledging.known(acknowledged, each.key) or wakes
    return Sentence(tone, f"{each.headline}. {each.detail} — {then}.", tuple(links))


def _tile(each: Standing, standings: Standings) -> Tile:
    slo = definitions().slo[each.key]
    until = standings.seen.until.get(each.key)
    counted = (
        "no relay has counted yet"
        if until is None
        else f"counted to {words.clock(until, zone())[:-3]}"
    )
    known = f"{words.number(each.good + each.bad)} in 30 days, {words.number(each.bad)} bad"
    lines = [f"budget left {telling.budget(each)}", known, counted]
    if each.rate is None:
        lines = [counted]
    return Tile(
        title=each.title,
        href=_PAGES.get(each.key, address("")),
        tone=_tone(each),
        state=_state(each),
        figure=wording.UNKNOWN if each.rate is None else telling.percent(each.rate),
        target=f"target {telling.target(each.target)}",
        lines=lines,
        days=_days(slo, standings.days.get(each.key, {}), standings.at),
        runbook=address("runbooks", page=each.runbook),
    )


def _tone(each: Standing) -> Literal["good", "look", "bad", "unknown"]:
    if each.rate is None:
        return "unknown"
    if not each.met:
        return "bad"
    return "look" if each.burn > 1 else "good"


def _state(each: Standing) -> str:
    if each.rate is None:
        return "nothing counted yet"
    pace = f", burning {telling.burning(each.burn)}" if each.burn else ""
    return f"{'met' if each.met else 'missed'}{pace}"


def _days(slo: Slo, days: Mapping[datetime, Outcomes], at: datetime) -> list[Day]:
    today = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dates = [today - timedelta(days=n) for n in range(29, -1, -1)]
    return [_day(slo, days.get(date), date) for date in dates]


def _day(slo: Slo, outcomes: Outcomes | None, day: datetime) -> Day:
    counted = counts(slo, outcomes or {})
    if counted.rate is None:
        return Day(f"{day:%d %b}: nothing counted", None)
    used = min(burn_rate(slo, counted), 1_000.0)
    return Day(f"{day:%d %b}: {telling.percent(counted.rate)}, {counted.bad} bad", used)


def _outbox(standings: Standings) -> None:
    values = {(each.measure, each.label): each.value for each in standings.seen.readings}
    oldest = max(
        (value for (measure, _), value in values.items() if measure == "oldest_due_s"), default=0.0
    )
    parts = [
        f"oldest due {wording.span(oldest)}" if oldest else "nothing is due",
        f"{words.number(standings.in_flight)} in flight",
        f"relays {values.get(('relays', ''), 0):.0f}",
        # The figure counts signs of life, not gateways.
        "gateway alive" if values.get(("gateways", "")) else "✗ no gateway is alive",
    ]
    held = {each.provider for each in standings.holds}
    for provider in ("twilio", "fcm", "stripe"):
        stands = "✗ not called" if values.get(("breakers_open", provider), 0) else "ok"
        stands = "▲ held" if provider in held else stands
        parts.append(f"{wording.provider(provider)} {stands}")
    theme.line("Outbox", parts, address("outbox"))
