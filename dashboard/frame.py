"""What every page does alike: its window, its reading, how old that is, and the bad days."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, wraps
from typing import TypeVar
from urllib.parse import urlencode

import streamlit as st
from msgspec import Struct
from streamlit.delta_generator import DeltaGenerator

from dashboard import readings, sign_in, theme, words
from dashboard.readings import AwayError, Readings
from dashboard.sign_in import SignIn
from dashboard.theme import Sentence
from outbox.settings import Settings, load

_log = logging.getLogger("pruuf.dashboard")

Seen = TypeVar("Seen")


class Window(Struct, frozen=True):
    """A stretch of time that ends now."""

    name: str
    words: str
    length: timedelta
    bucket: timedelta
    """Width of a bar: a window has up to 60 of them."""
    keep_s: float
    """How long its figures are kept for the next reader."""


WINDOWS = {
    window.name: window
    for window in (
        Window("1h", "hour", timedelta(hours=1), timedelta(minutes=1), 2),
        Window("6h", "6 hours", timedelta(hours=6), timedelta(minutes=10), 10),
        Window("24h", "24 hours", timedelta(hours=24), timedelta(minutes=30), 30),
        Window("7d", "7 days", timedelta(days=7), timedelta(hours=3), 120),
        Window("30d", "30 days", timedelta(days=30), timedelta(hours=12), 300),
    )
}


@cache
def settings() -> Settings:
    """The settings of this process; they do not change while it runs."""
    return load(os.environ)


@cache
def signing_in() -> SignIn | None:
    """How people sign in; null: nobody does."""
    return sign_in.read(settings())


def source() -> Readings:
    """What was read of the database in use."""
    return readings.of(settings().require_database())


def zone() -> str | None:
    """The reader's time zone, by the browser's word."""
    return st.context.timezone


def address(where: str, /, **wanted: str | None) -> str:
    """Where a page is, with what it shall show."""
    given = {name: value for name, value in wanted.items() if value}
    return f"/{where}" + (f"?{urlencode(given)}" if given else "")


def heading(title: str, *, default: str = "24h") -> Window:
    """The title, and beside it the choice of the window, which stands in the address."""
    head, choice = st.columns([2, 3], vertical_alignment="bottom")
    head.title(title, anchor=False)
    with choice, st.container(horizontal=True, horizontal_alignment="right"):
        chosen = st.segmented_control(
            "Window",
            list(WINDOWS),
            default=default,
            required=True,
            key="window",
            bind="query-params",
            label_visibility="collapsed",
        )
    return WINDOWS[str(chosen)]


def choice(
    box: DeltaGenerator,
    label: str,
    options: Sequence[str],
    *,
    name: str,
    named: Callable[[str], str],
) -> str:
    """A choice that stands in the address by its own name, not by its words; the first is usual."""
    usual = options[0]
    if name not in st.session_state:
        given = st.query_params.get(name, usual)
        st.session_state[name] = given if given in options else usual
    chosen = str(box.selectbox(label, options, key=name, format_func=named))
    put(name, "" if chosen == usual else chosen)
    return chosen


def put(name: str, value: str) -> None:
    """Let the address hold a value; empty: no longer."""
    if st.query_params.get(name, "") == value:
        return
    if value:
        st.query_params[name] = value
    else:
        del st.query_params[name]


def guarded(draw: Callable[[], None]) -> Callable[[], None]:
    """A part of a page whose faults are told in the log, and to the reader in a plain sentence."""

    @wraps(draw)
    def drawn() -> None:
        try:
            if sign_in.may_see(signing_in()):
                draw()
            else:
                theme.say(Sentence("look", "Your sign-in is over: load this page anew."))
        except AwayError as away:
            theme.say(Sentence("bad", str(away), (_DATABASE,)))
        except Exception:  # noqa: BLE001 - told in the log, and the other pages go on
            _log.exception("a page failed: %s", draw.__module__)
            at = f"{datetime.now(UTC):%H:%M:%S}"
            text = f"This part of the page failed at {at} UTC. Its log says why; the others work."
            theme.say(Sentence("bad", text))

    return drawn


def live(
    read: Callable[[], Seen],
    show: Callable[[Seen], None],
    *,
    every_s: float,
    unknown: str,
    at: Callable[[Seen], datetime],
) -> None:
    """A part of a page that is drawn anew by itself, in place; ``unknown``: what a fault hides."""

    def draw() -> None:
        # Only before the first answer: what is emptied and filled again makes the page jump.
        first = not st.session_state.get(f"seen {unknown}")
        told = st.empty() if first else st.container()
        if first:
            told.html('<span class="p-soft">Reading the database…</span>')
        try:
            seen = read()
        except AwayError as away:
            again = f"This page tries again every {every_s:g} s."
            if first:
                told.empty()
            theme.say(Sentence("bad", f"{away} {unknown} {again}", (_DATABASE,)))
            return
        st.session_state[f"seen {unknown}"] = True
        with told:
            _updated(at(seen))
        show(seen)

    st.fragment(guarded(draw), run_every=every_s)()


_DATABASE = ("What to do", address("runbooks", page="database-away.md"))


def _updated(at: datetime) -> None:
    shown = f"updated {words.clock(at, zone())}, {words.ago(at, datetime.now(UTC))}"
    theme.soft(shown, name="p-updated")
