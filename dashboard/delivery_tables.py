"""The lower half of *Delivery*: channels against what is promised, kinds, errors, reasons."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime

import streamlit as st

from dashboard import charts, reach, theme, words
from dashboard.frame import Window
from dashboard.reach import Reached, Step
from dashboard.theme import Column
from observability import telling
from observability.burn import Outcomes, counts
from observability.slos import definitions
from outbox import wording
from outbox.store.seen_minutes import OPEN

UNTOLD = "none"
"""In an address, for a country that is not known."""

_COUNTRIES = 15
_SHOWN = 10
"""Reasons in a table; the rest is rare."""


def promise(steps: list[Step], at: datetime, window: Window) -> None:
    """The share of steps that arrived, by channel, against what is promised."""
    rows = []
    points: dict[str, list[tuple[datetime, float]]] = {}
    for channel, provider in reach.PROVIDERS.items():
        slo = definitions().slo[channel]
        whole = counts(slo, _settled(reach.outcomes(steps, channel)))
        if whole.raw is None:
            continue
        found = reach.outcomes(steps, channel)
        rows.append(
            [
                wording.channel(channel),
                wording.provider(provider),
                telling.percent(whole.rate),
                telling.target(slo.target),
                telling.percent(whole.raw),
                *(
                    words.number(found.get(outcome, 0))
                    for outcome in ("recipient", "refused", "unsent", "unknown", OPEN)
                ),
            ]
        )
        buckets: defaultdict[datetime, list[Step]] = defaultdict(list)
        for step in steps:
            buckets[step.bucket].append(step)
        shares = [
            (bucket, counts(slo, _settled(reach.outcomes(found, channel))).rate)
            for bucket, found in sorted(buckets.items())
        ]
        points[channel] = [(bucket, rate) for bucket, rate in shares if rate is not None]
    if not rows:
        return
    st.header("Texts and pushes against what is promised", anchor=False)
    charts.shares(points, at, window)
    columns = [
        Column("Channel"),
        Column("Provider", "wide"),
        Column("Delivered", "n"),
        Column("Target", "n wide"),
        Column("With recipients' faults", "n wide"),
        Column("Recipient's fault", "n"),
        Column("Refused", "n"),
        Column("Not sent", "n wide"),
        Column("No word", "n"),
        Column("On its way", "n wide"),
    ]
    theme.table("By channel", columns, rows)


def _settled(found: Outcomes) -> Outcomes:
    """Without what has time left: it is neither good nor bad yet."""
    return {outcome: n for outcome, n in found.items() if outcome != OPEN}


def kinds(rows: list[Reached]) -> None:
    """Each kind."""
    found_by: defaultdict[str, list[Reached]] = defaultdict(list)
    for row in rows:
        found_by[row.kind].append(row)
    shown = []
    for kind, found in found_by.items():
        counted = reach.funnel(found)
        by: Counter[str] = Counter()
        for row in found:
            by[row.series] += row.n
        settled = counted.delivered + counted.missed
        shown.append(
            [
                wording.kind(kind),
                *map(words.number, (counted.accepted, counted.sent, by["sms"], by["push"])),
                words.number(counted.missed),
                words.number(counted.open),
                words.percent(counted.within_s(10), settled),
                words.percent(counted.within_s(60), settled),
            ]
        )
    shown.sort(key=lambda row: -int(row[1].replace(",", "")))
    columns = [
        Column("Kind"),
        Column("Accepted", "n"),
        Column("Sent", "n wide"),
        Column("By SMS", "n"),
        Column("By push", "n"),
        Column("Not reached", "n"),
        Column("On its way", "n wide"),
        Column("≤ 10 s", "n wide"),
        Column("≤ 1 min", "n wide"),
    ]
    theme.table("By kind", columns, shown)


def country_name(code: str) -> str:
    """A country in words."""
    return "no number, or not told" if code == UNTOLD else code


def countries(rows: list[Reached], steps: list[Step]) -> None:
    """Each country of the numbers that notifications went to, the most first."""
    found_by: defaultdict[str, list[Reached]] = defaultdict(list)
    for row in rows:
        found_by[row.country].append(row)
    counted = sorted(
        ((reach.funnel(found), code) for code, found in found_by.items()),
        key=lambda each: (-each[0].accepted, each[1]),
    )
    shown = []
    for funnel, code in counted[:_COUNTRIES]:
        here = [step for step in steps if step.country == code]
        texts = counts(definitions().slo["sms"], _settled(reach.outcomes(here, "sms")))
        settled = funnel.delivered + funnel.missed
        shown.append(
            [
                country_name(code or UNTOLD),
                *map(words.number, (funnel.accepted, funnel.sent, funnel.delivered)),
                words.number(funnel.missed),
                words.percent(funnel.within_s(60), settled),
                telling.percent(texts.rate),
                _commonest(here),
            ]
        )
    columns = [
        Column("Country"),
        Column("Accepted", "n"),
        Column("Sent", "n wide"),
        Column("Delivered", "n"),
        Column("Not reached", "n"),
        Column("≤ 1 min", "n wide"),
        Column("Texts delivered", "n wide"),
        Column("Commonest error of a text", "wide"),
    ]
    theme.table("By country", columns, shown)
    left = sum(funnel.accepted for funnel, _ in counted[_COUNTRIES:])
    if left:
        more = len(counted) - _COUNTRIES
        theme.soft(f"And {words.number(left)} to {more} more countries; choose one above.")


def _commonest(steps: list[Step]) -> str:
    found: Counter[str] = Counter()
    for step in steps:
        if step.channel == "sms" and step.outcome in _CLASSES and step.code:
            found[step.code] += step.n
    if not found:
        return "none"
    [(code, n)] = found.most_common(1)
    return f"{wording.with_code(reach.PROVIDERS['sms'], code)}, {words.number(n)}"


_CLASSES = {
    "recipient": "the recipient's",
    "refused": "ours",
    "unsent": "the provider's",
}


def errors(steps: list[Step]) -> None:
    """What providers said, and whose fault it was."""
    found: Counter[tuple[str, str, str]] = Counter()
    for step in steps:
        if step.outcome in _CLASSES:
            found[step.channel, step.code, step.outcome] += step.n
    if not found:
        theme.soft("No step failed in this window.")
        return
    rows = [
        [
            f"{wording.provider(reach.PROVIDERS[channel])}: "
            + (wording.with_code(reach.PROVIDERS[channel], code) if code else wording.UNKNOWN),
            _CLASSES[outcome],
            words.number(n),
        ]
        for (channel, code, outcome), n in found.most_common(_SHOWN)
    ]
    columns = [Column("Error"), Column("Whose fault", "id"), Column("Times", "n")]
    theme.table("Why a step failed", columns, rows)


def missed(rows: list[Reached]) -> None:
    """The last reasons."""
    found: Counter[str] = Counter()
    for row in rows:
        if row.outcome == "missed":
            found[row.why] += row.n
    if not found:
        theme.soft("Nobody was missed in this window. That is good.")
        return
    table = [[wording.reason(why or None), words.number(n)] for why, n in found.most_common(_SHOWN)]
    theme.table("Why nobody was reached", [Column("Last reason"), Column("Times", "n")], table)
