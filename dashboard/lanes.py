"""Page *Outbox*: what waits, who works on it, what is not called, and what waits for a person."""

from __future__ import annotations

from collections import Counter

import streamlit as st
from msgspec import Struct
from sqlalchemy import Connection

from dashboard import acknowledging, frame, holding, reach, theme, words
from dashboard.frame import WINDOWS, address, zone
from dashboard.reach import Step
from dashboard.readings import below
from dashboard.theme import Cell, Column, Sentence
from outbox import wording
from outbox.domain.acknowledging import PARKED
from outbox.store import seen_minutes, seen_outbox
from outbox.store.seen_outbox import Breaker, OutboxSeen

_REFRESH_S = 5
_KEPT_S = 2.0
_DAY = WINDOWS["24h"]
_LATE_S = {"safety": 15.0}
_LATE_OTHERS_S = 600.0
"""As the conditions of the objectives have it."""
_SHOWN = 10


class Outbox(Struct, frozen=True, kw_only=True):
    """The outbox now, and the steps of the last day."""

    now: OutboxSeen
    steps: list[Step]


def page() -> None:
    """The page; only its inner part is drawn anew by itself."""
    head, actions = st.columns([2, 3], vertical_alignment="bottom")
    head.title("Outbox", anchor=False)
    with actions:
        holding.buttons()
    source = frame.source()

    def read() -> Outbox:
        steps = source.read("steps", _steps, keep_s=_DAY.keep_s)
        now = source.read("outbox", lambda c: seen_outbox.read(below(c)), keep_s=_KEPT_S)
        return Outbox(now=now, steps=steps)

    frame.live(
        read,
        _show,
        every_s=_REFRESH_S,
        unknown="What waits is unknown.",
        at=lambda seen: seen.now.at,
    )


def _steps(connection: Connection) -> list[Step]:
    rows = seen_minutes.read(
        below(connection),
        list(reach.PROVIDERS),
        now=seen_minutes.clock(below(connection)),
        length=_DAY.length,
        bucket=_DAY.length,
    )
    return reach.steps(rows)


def _show(seen: Outbox) -> None:
    _verdict(seen.now)
    st.header("Lanes", anchor=False)
    _lanes(seen.now)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Relays", anchor=False)
        _relays(seen.now)
    with right:
        st.header("Providers", anchor=False)
        _breakers(seen.now)
    st.header("Waiting for a person", anchor=False)
    _parked(seen.now)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Failed in 24 hours: ours or a provider's", anchor=False)
        _failed("Ours", seen.steps, {"refused", "unsent"}, "No step failed by a fault of ours.")
    with right:
        st.header("Failed in 24 hours: the recipient's", anchor=False)
        _failed(
            "Theirs",
            seen.steps,
            {"recipient"},
            "Nobody was out of reach by their own number or phone.",
        )
    st.header("What may still be sent at once", anchor=False)
    _limiters(seen.now)


def _verdict(now: OutboxSeen) -> None:
    said: list[Sentence] = []
    depth = sum(lane.depth for lane in now.lanes)
    if not now.relays:
        waits = f" {_many(depth)} wait." if depth else ""
        text = f"No relay is alive: nothing is being delivered.{waits} Start one: pruuf relay"
        said.append(Sentence("bad", text, (("Runbook", _runbook("relay-dead.md")),)))
    said += [
        Sentence(
            "bad" if lane.lane == "safety" else "look",
            f"The oldest due one of the lane {lane.lane} has waited {wording.span(lane.oldest_s)}.",
            (("Runbook", _runbook("lane-stuck.md")),),
        )
        for lane in now.lanes
        if (lane.oldest_s or 0) > _LATE_S.get(lane.lane, _LATE_OTHERS_S)
    ]
    said += [
        Sentence(
            "bad",
            f"{wording.provider(each.provider)} is not called,"
            f" {holding.sender(each.sender)}: calls fail.",
            (("Runbook", _runbook("provider-down.md")),),
        )
        for each in now.breakers
        if each.is_open
    ]
    said += holding.sentences(now.holds)
    parked = sum(lane.parked for lane in now.lanes)
    if parked:
        links = (("Which", address("find", state="parked")), ("Runbook", _runbook("parked.md")))
        said.append(Sentence("look", f"{_many(parked)} wait for a person.", links))
    theme.say(*said or [Sentence("good", "Nothing waits longer than it should.")])


def _runbook(name: str) -> str:
    return address("runbooks", page=name)


def _many(n: int) -> str:
    more = "more than " if n >= seen_outbox.MOST else ""
    return f"{more}{words.number(n)}"


def _lanes(now: OutboxSeen) -> None:
    rows = [
        [
            lane.lane,
            _many(lane.depth),
            _many(lane.due),
            wording.span(lane.oldest_s) if lane.oldest_s is not None else "none due",
            words.number(lane.in_flight),
            _many(lane.awaiting),
            _many(lane.parked),
        ]
        for lane in now.lanes
    ]
    columns = [
        Column("Lane"),
        Column("Depth", "n"),
        Column("Due now", "n wide"),
        Column("Oldest due", "n"),
        Column("In flight", "n"),
        Column("Awaiting receipt", "n wide"),
        Column("Parked", "n"),
    ]
    theme.table("Lanes", columns, rows)


def _relays(now: OutboxSeen) -> None:
    if not now.relays:
        theme.soft("None was seen within 30 s.")
        return
    rows = [
        [f"{r.host}, {r.pid}", words.number(r.in_flight), words.ago(r.started_at, now.at)]
        for r in now.relays
    ]
    columns = [Column("Host, process"), Column("In flight", "n"), Column("Started", "n")]
    theme.table("Relays", columns, rows)


def _breakers(now: OutboxSeen) -> None:
    if not now.breakers:
        theme.soft("No provider has failed yet: all are called.")
        return
    rows = [
        [
            wording.provider(b.provider),
            holding.sender(b.sender),
            _stands(b),
            f"{b.votes} of {b.relays}",
        ]
        for b in now.breakers
    ]
    columns = [
        Column("Provider"),
        Column("Sender", "id"),
        Column("Stands"),
        Column("Relays against", "n"),
    ]
    theme.table("Providers", columns, rows)


def _stands(breaker: Breaker) -> str:
    if breaker.on_hold:
        return "▲ held by a person"
    if breaker.hold_until is not None:
        return f"▲ asked us to wait until {words.clock(breaker.hold_until, zone())}"
    if not breaker.is_open:
        return "✓ called"
    since = "" if breaker.since is None else f" since {words.clock(breaker.since, zone())}"
    return f"✗ not called{since}" + (", being tried again" if breaker.probing else "")


def _parked(now: OutboxSeen) -> None:
    if not now.parked:
        theme.soft("Nothing is parked. That is good.")
        return
    rows: list[list[str | Cell]] = [
        [
            wording.reason(each.reason or None),
            wording.kind(each.kind),
            _many(each.n),
            Cell(
                words.clock(each.oldest, zone()),
                address("find", state="parked", kind=each.kind),
                words.ago(each.oldest, now.at),
            ),
            Cell(
                "Acknowledge",
                acknowledging.where(PARKED, each.reason),
                acknowledging.known(now.acknowledged, (PARKED, each.reason)),
            ),
        ]
        for each in now.parked
    ]
    columns = [
        Column("Why"),
        Column("Kind"),
        Column("How many", "n"),
        Column("Oldest", "id"),
        Column("Who knows"),
    ]
    theme.table("Parked", columns, rows)


def _failed(caption: str, steps: list[Step], outcomes: set[str], none: str) -> None:
    found: Counter[tuple[str, str]] = Counter()
    for step in steps:
        if step.outcome in outcomes:
            found[step.channel, step.code] += step.n
    if not found:
        theme.soft(none)
        return
    rows = [
        [
            wording.channel(channel),
            wording.with_code(reach.PROVIDERS[channel], code) if code else wording.UNKNOWN,
            words.number(n),
        ]
        for (channel, code), n in found.most_common(_SHOWN)
    ]
    theme.table(caption, [Column("Channel"), Column("Why"), Column("Steps", "n")], rows)


def _limiters(now: OutboxSeen) -> None:
    if not now.limiters:
        theme.soft("No sender has used its rate lately: nothing is held back.")
        return
    rows = [
        [
            wording.provider(each.provider),
            holding.sender(each.sender),
            each.lanes,
            f"{each.level:,.0f}",
            words.ago(each.at, now.at),
        ]
        for each in now.limiters[:_SHOWN]
    ]
    columns = [
        Column("Provider"),
        Column("Sender", "id"),
        Column("For the lanes", "id"),
        Column("Calls left", "n"),
        Column("As of", "n"),
    ]
    theme.table("Limiters", columns, rows)
