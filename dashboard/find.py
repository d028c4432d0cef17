"""Page *Find*: one box that takes anything; a notification's life as a picture and as a story."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import streamlit as st
from msgspec import Struct
from sqlalchemy import Connection
from streamlit.delta_generator import DeltaGenerator

from dashboard import acting, frame, picture, theme, words
from dashboard.frame import Window, address, zone
from dashboard.readings import AwayError, Readings, below
from dashboard.theme import Cell, Column, Sentence
from outbox import story, wording
from outbox.store import finding, listing, seen_minutes
from outbox.store.finding import Found
from outbox.store.reading import run
from outbox.store.views import STATES, Filter, Notification, Summary

_REFRESH_S = 5
_KEPT_S = 2.0
_ALL = "all"
_LISTED = 50
_TYPED = "typed"


class Listed(Struct, frozen=True, kw_only=True):
    """What was found, or what is newest."""

    at: datetime
    found: Found | None
    items: Sequence[Summary]


def page() -> None:
    """The page; only its inner part is drawn anew by itself."""
    window = frame.heading("Find")
    box, left, right = st.columns([3, 1, 1])
    typed = _typed(box)
    states, kinds = (_ALL, *STATES), (_ALL, *wording.KINDS)
    state = frame.choice(left, "State", states, name="state", named=wording.state)
    kind = frame.choice(right, "Kind", kinds, name="kind", named=wording.kind)
    source = frame.source()
    read = partial(_read, source, window, typed, state, kind)
    frame.live(
        read,
        lambda seen: _show(seen, window, typed, state),
        every_s=_REFRESH_S,
        unknown="What became of it is unknown.",
        at=lambda seen: seen.at,
    )
    _actions(read)


def _typed(box: DeltaGenerator) -> str:
    """What somebody looks for; in the address too, unless it is a person's number."""
    if _TYPED not in st.session_state:
        st.session_state[_TYPED] = st.query_params.get("q", "")
    typed = box.text_input(
        "Look for",
        key=_TYPED,
        placeholder="An id, a recipient, a Member, a number like +12025550123, Twilio's SM…",
        max_chars=200,
    )
    typed = (typed or "").strip()
    frame.put("q", "" if finding.number_in(typed) else typed)
    return typed


def _read(source: Readings, window: Window, typed: str, state: str, kind: str) -> Listed:
    number = finding.number_in(typed)

    def ask(connection: Connection) -> Listed:
        at = seen_minutes.clock(below(connection))
        if number is not None:
            hashes = finding.hashes(frame.settings(), number)
            found = finding.of_number(connection, hashes)
            return Listed(at=at, found=found, items=found.others)
        if typed:
            found = finding.look(connection, typed)
            return Listed(at=at, found=found, items=found.others)
        wanted = Filter(
            since=at - window.length,
            state=None if state == _ALL else state,
            kind=None if kind == _ALL else kind,
            limit=_LISTED,
        )
        return Listed(at=at, found=None, items=run(connection, listing.notifications(wanted)).items)

    return source.read(("find", window.name, typed, state, kind), ask, keep_s=_KEPT_S)


def _show(seen: Listed, window: Window, typed: str, state: str) -> None:
    if seen.found is not None and seen.found.told is not None:
        _story(seen.found.told)
        event = seen.found.event
        others = (
            [] if event is None else [n for n in event.notifications if n.id != seen.found.told.id]
        )
        if event is not None and others:
            st.header("Others told of the same event", anchor=False)
            rows: list[list[str | Cell]] = [
                [Cell(each.recipient, address("find", q=str(each.id))), words.marked(each.state)]
                for each in others[:_LISTED]
            ]
            theme.table("Others", [Column("Recipient"), Column("State", "id")], rows)
        return
    if not seen.items:
        _nothing(seen, window, typed, state)
        return
    if typed:
        theme.soft(f"{len(seen.items)} found, the newest first; choose one by its time.")
    _list(seen)


def _nothing(seen: Listed, window: Window, typed: str, state: str) -> None:
    if not typed:
        which = "" if state == _ALL else f" {wording.state(state)}"
        theme.soft(f"No{which} notification in the last {window.words}.")
        return
    hint = ""
    if typed.isdigit():
        hint = " A number begins with + and its country code."
    elif seen.found is not None and seen.found.event is not None:
        theme.say(Sentence("good", "The event is known, and nobody had to be told of it."))
        return
    shown = "this number" if finding.number_in(typed) else typed[:60]
    theme.say(
        Sentence(
            "look",
            f"Nothing is known of {shown} in the last 90 days.{hint}"
            " Names are sealed: look for an id.",
        )
    )


def _list(seen: Listed) -> None:
    columns = [
        Column("Accepted", "id"),
        Column("Kind"),
        Column("Member", "wide"),
        Column("Recipient"),
        Column("State", "id"),
        Column("By", "wide"),
        Column("After", "n wide"),
        Column("Reason", "wide"),
    ]
    theme.table("Notifications", columns, [_row(each, seen.at) for each in seen.items])


def _row(each: Summary, now: datetime) -> list[str | Cell]:
    took = None if each.final_at is None else (each.final_at - each.created_at).total_seconds()
    return [
        Cell(
            words.clock(each.created_at, zone()),
            address("find", q=str(each.id)),
            words.ago(each.created_at, now),
        ),
        wording.kind(each.kind),
        each.subject,
        each.recipient,
        words.marked(each.state),
        wording.channel(each.channel) or "–",
        wording.span(took),
        wording.reason(each.reason) if each.reason else "–",
    ]


def _story(told: Notification) -> None:
    with st.container(border=True, key="story"):
        theme.title(
            f"{wording.kind(told.kind)} of {told.subject} → {told.recipient}", story.ending(told)
        )
        theme.soft(f"{told.id}, lane {told.lane}, accepted {words.clock(told.created_at, zone())}")
        if told.texts_dropped_at is not None:
            at = words.clock(told.texts_dropped_at, zone())
            theme.soft(f"Its texts, names and number were dropped {at}; nobody can send it again.")
        picture.show(told)
        theme.story(
            [
                (
                    words.clock(line.at, zone(), fine=True),
                    words.since(line.at, told.created_at),
                    line,
                )
                for line in story.lines(told)
            ],
        )


def _actions(read: partial[Listed]) -> None:
    """What a person may do to the one that is shown."""
    try:
        seen = read()
    except AwayError:
        return
    if seen.found is None or seen.found.told is None:
        return
    told = seen.found.told
    identity = str(told.id)
    with st.container(horizontal=True, key="actions"):
        if st.button("Send again"):
            acting.ask(
                "Send again",
                acting.redrive(told),
                lambda api, why: api.act("notifications", identity, "redrive", why),
            )
        if st.button("Cancel"):
            acting.ask(
                "Cancel",
                acting.cancel(told),
                lambda api, why: api.act("notifications", identity, "cancel", why),
            )
        if st.button("Name and number"):
            acting.person(told.recipient)
        st.html(theme.link("Open runbook", address("runbooks", page=_runbook(told))))


def _runbook(told: Notification) -> str:
    if told.state == "parked":
        return "parked.md"
    if told.kind == "checkin.missed" and told.state != "delivered":
        return "missed-checkin-unreached.md"
    channel = told.channel or told.plan[min(told.step, len(told.plan) - 1)].channel
    return "push-delivery.md" if channel == "push" else "sms-delivery.md"
