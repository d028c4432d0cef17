"""Page *Readiness*: whom no channel reaches now, before an alert has to find out."""

from __future__ import annotations

from datetime import datetime

import streamlit as st
from msgspec import Struct
from sqlalchemy import Connection

from dashboard import frame, theme, words
from dashboard.frame import address
from dashboard.readings import below
from dashboard.theme import Cell, Column, Sentence
from outbox import wording
from outbox.store import readiness, seen_minutes
from outbox.store.readiness import Unreachable
from outbox.store.sql import statement

_REFRESH_S = 60
_KEPT_S = 60.0
_SHOWN = 200
_PUSHES = {
    "no_device": "no device",
    "device_dead": "uninstalled: every address is dead",
    "device_stale": "not heard of for a month",
}


class People(Struct, frozen=True, kw_only=True):
    """Who is out of reach, and the devices there are."""

    at: datetime
    unreachable: list[Unreachable]
    fresh: int
    stale: int
    dead: int
    opted_out: int


def page() -> None:
    """The page; only its inner part is drawn anew by itself."""
    st.title("Readiness", anchor=False)
    source = frame.source()
    frame.live(
        lambda: source.read("readiness", look, keep_s=_KEPT_S),
        _show,
        every_s=_REFRESH_S,
        unknown="Who could be reached is unknown.",
        at=lambda seen: seen.at,
    )


def look(connection: Connection) -> People:
    """Read it; the connection's transaction should be repeatable read."""
    below_it = below(connection)
    (fresh, stale, dead, opted_out) = below_it.execute(
        statement("seen_people"), {"most": 1_000_000}
    ).fetchone() or (0, 0, 0, 0)
    return People(
        at=seen_minutes.clock(below_it),
        unreachable=readiness.unreachable(below_it, limit=_SHOWN),
        fresh=fresh,
        stale=stale,
        dead=dead,
        opted_out=opted_out,
    )


def _show(seen: People) -> None:
    number = len(seen.unreachable)
    if number:
        more = "More than " if number >= _SHOWN else ""
        text = f"{more}{words.number(number)} could be reached by no channel now."
        theme.say(Sentence("bad", f"{text} Ask them for another number, or to open the app."))
    else:
        theme.say(Sentence("good", "Nobody is known to be out of reach."))
    with st.container(key="figures"):
        for label, value, meaning in (
            ("Devices heard of", seen.fresh, "Within a month, by the app or its acknowledgements."),
            ("Devices silent", seen.stale, "Not heard of for a month: asked for a silent proof."),
            ("Devices gone", seen.dead, "FCM said that the address is dead."),
            ("Opted out", seen.opted_out, "Numbers that sent STOP, or that a carrier told us of."),
        ):
            st.metric(label, words.number(value), help=meaning, border=True)
    if not seen.unreachable:
        theme.soft("Judged are people who are stored, or had a check-in in the last 30 days.")
        return
    rows: list[list[str | Cell]] = [
        [
            Cell(each.recipient, address("find", q=each.recipient)),
            wording.reason(each.texts),
            _PUSHES.get(each.pushes, each.pushes),
        ]
        for each in seen.unreachable
    ]
    columns = [Column("Recipient"), Column("Why not by text"), Column("Why not by push")]
    theme.table("Out of reach", columns, rows)
