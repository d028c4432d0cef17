"""Page *Delivery*: how far what was accepted got, how soon, by what, against what is promised."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

import streamlit as st
from msgspec import Struct
from sqlalchemy import Connection

from dashboard import charts, delivery_tables, frame, reach, theme, words
from dashboard.delivery_tables import UNTOLD
from dashboard.frame import Window, address
from dashboard.reach import Funnel, Reached, Step
from dashboard.readings import AwayError, below
from dashboard.theme import Part, Sentence
from outbox import wording
from outbox.store import seen_minutes
from outbox.store.rollup import REACH

_REFRESH_S = 10
_ALL = "all"
_COUNTRY = re.compile(r"[A-Z]{2}|none")
_CHANNELS = ("sms", "push", "page", "topic")
_SPANS = {10: "10 s", 60: "1 min", 300: "5 min", 600: "10 min"}


class Delivery(Struct, frozen=True, kw_only=True):
    """A window."""

    at: datetime
    window: Window
    reached: list[Reached]
    steps: list[Step]


def page() -> None:
    """The page; only its inner part is drawn anew by itself."""
    window = frame.heading("Delivery")
    source = frame.source()

    def ask() -> Delivery:
        keep_s = window.keep_s
        return source.read(("delivery", window.name), partial(look, window=window), keep_s=keep_s)

    left, right, third, _ = st.columns([2, 2, 2, 1])
    kinds = [_ALL, *sorted(k for k in wording.KINDS if not k.startswith(("device.", "canary.")))]
    kind = frame.choice(left, "Kind", kinds, name="kind", named=partial(_named, wording.kind))
    channels = (_ALL, *_CHANNELS)
    channel = frame.choice(
        right, "Channel", channels, name="channel", named=partial(_named, wording.channel)
    )
    country = frame.choice(
        third,
        "Country",
        _countries(ask),
        name="country",
        named=partial(_named, delivery_tables.country_name),
    )
    frame.live(
        ask,
        lambda seen: _show(seen, kind, channel, country),
        every_s=_REFRESH_S,
        unknown="What arrived is unknown.",
        at=lambda seen: seen.at,
    )


def _countries(ask: Callable[[], Delivery]) -> tuple[str, ...]:
    """All, and those of the window; the one in the address too, so that it can be sent."""
    given = st.query_params.get("country", "")
    found = {given} if _COUNTRY.fullmatch(given) else set()
    # A database that is away is told of below, where it is tried again.
    with suppress(AwayError):
        found |= {row.country or UNTOLD for row in ask().reached}
    return (_ALL, *sorted(found - {_ALL}))


def _named(named: Callable[[str], str], choice: str) -> str:
    return choice if choice == _ALL else named(choice)


def look(connection: Connection, window: Window) -> Delivery:
    """Read a window; the connection's transaction should be repeatable read."""
    at = seen_minutes.clock(below(connection))
    rows = seen_minutes.read(
        below(connection),
        [REACH, *reach.PROVIDERS],
        now=at,
        length=window.length,
        bucket=window.bucket,
    )
    return Delivery(at=at, window=window, reached=reach.reached(rows), steps=reach.steps(rows))


def _show(seen: Delivery, kind: str, channel: str, country: str) -> None:
    rows = [
        row
        for row in seen.reached
        if kind in {_ALL, row.kind}
        and channel in {_ALL, row.channel or row.first}
        and country in {_ALL, row.country or UNTOLD}
    ]
    steps = [
        step
        for step in seen.steps
        if kind in {_ALL, step.kind}
        and channel in {_ALL, step.channel}
        and country in {_ALL, step.country or UNTOLD}
    ]
    counted = reach.funnel(rows)
    if not counted.accepted:
        theme.say(
            Sentence("good", f"No notification was accepted in the last {seen.window.words}.")
        )
        return
    _verdict(seen, counted)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("How far they got", anchor=False)
        _funnel(counted)
    with right:
        st.header("How soon they arrived", anchor=False)
        _soon(counted)
    st.header("What became of them, by the time they were accepted", anchor=False)
    _chart(seen, rows)
    delivery_tables.promise(steps, seen.at, seen.window)
    st.header("By kind", anchor=False)
    delivery_tables.kinds(rows)
    st.header("By country", anchor=False)
    delivery_tables.countries(rows, steps)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Why a step failed", anchor=False)
        delivery_tables.errors(steps)
    with right:
        st.header("Why nobody was reached", anchor=False)
        delivery_tables.missed(rows)


def _verdict(seen: Delivery, counted: Funnel) -> None:
    said = []
    since = seen.window.name
    if counted.missed:
        links = (("Who", address("find", state="undeliverable", window=since)),)
        said.append(
            Sentence(
                "look",
                f"{words.number(counted.missed)} reached nobody; the reasons are below.",
                links,
            )
        )
    if counted.parked:
        links = (("Which", address("find", state="parked", window=since)),)
        text_ = f"{words.number(counted.parked)} are parked: they wait for a person."
        said.append(Sentence("look", text_, links))
    good = Sentence("good", "Everything accepted here is delivered or on its way.")
    theme.say(*said or [good])


def _funnel(counted: Funnel) -> None:
    whole = counted.accepted
    theme.parts(
        "Funnel",
        [
            Part("Accepted", counted.accepted, whole),
            Part("Sent", counted.sent, whole, "a provider was called"),
            Part("Delivered", counted.delivered, whole),
            Part("by a fallback", counted.fallback, whole, "not by the plan's first channel"),
            Part("Not reached", counted.missed, whole),
            Part("Withdrawn", counted.withdrawn, whole),
            Part("On its way", counted.open, whole),
        ],
    )


def _soon(counted: Funnel) -> None:
    settled = counted.delivered + counted.missed
    theme.parts(
        "Delivered within",
        [Part(f"within {_SPANS[s]}", counted.within_s(s), settled) for s in reach.WITHIN_S]
        + [Part("at all", counted.delivered, settled)],
    )
    theme.soft("Of those that were delivered or reached nobody. Withdrawn ones do not count.")


def _chart(seen: Delivery, rows: list[Reached]) -> None:
    bars: Counter[tuple[datetime, str]] = Counter()
    for row in rows:
        bars[row.bucket, row.series] += row.n
    found = [(bucket, series, n) for (bucket, series), n in bars.items()]
    charts.bars(found, seen.at, seen.window)
