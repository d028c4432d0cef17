"""What a person may do to one thing: seen before it is done, with a reason, under their own key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import streamlit as st
from msgspec import Struct

from dashboard import frame, theme, words
from dashboard.api import Api, Outcome, RefusedError
from dashboard.readings import below
from dashboard.theme import Sentence
from outbox import wording
from outbox.store import openings
from outbox.store.views import LIVE, Notification

_KEY = "own key"
_LONGEST = 500
_OPENINGS = 5
_RESULTS = {
    "redriven": "Done: it is back at work, from its first step.",
    "cancelled": "Done: nothing of it was, or ever will be, sent.",
    "in_flight": "A call is under way: no further one is started.",
    "already_final": "Nothing was changed: it is at its end.",
    "held": "Done: no relay calls it, from the next second on.",
    "released": "Done: the relays call it again within seconds.",
    "acknowledged": "Done: nobody is paged for it until then.",
    "taken_back": "Done: it pages again.",
    "not_held": "Nothing was changed: nobody holds it.",
}


class Preview(Struct, frozen=True):
    """What would come of it."""

    words: str
    changes: bool
    """Whether anything would."""


def redrive(told: Notification) -> Preview:
    """Of sending it again."""
    if told.state in LIVE:
        return Preview("It is at work already: nothing would change.", changes=False)
    if told.state in {"delivered", "cancelled"}:
        return Preview(f"It is {wording.state(told.state)}: nothing would change.", changes=False)
    steps = ", then ".join(wording.channel(step.channel) for step in told.plan)
    before = ""
    if told.attempts:
        before = " What was sent before may have arrived all the same: they may be told twice."
    over = " If its alert is over by now, it is left as it is." if told.lane == "safety" else ""
    return Preview(f"It begins anew: {steps}.{before}{over}", changes=True)


def cancel(told: Notification) -> Preview:
    """Of withdrawing it."""
    if told.state not in {*LIVE, "parked"}:
        return Preview(f"It is {wording.state(told.state)}: nothing would change.", changes=False)
    if told.attempts:
        text = "A call was made already, and may have reached them. No further one is started."
        return Preview(text, changes=True)
    return Preview("Nothing of it was sent, and nothing ever will be.", changes=True)


def key_box(name: str) -> str:
    """Where somebody types their own key; it is kept for this visit alone, and nowhere else."""
    typed = st.text_input(
        "Your own API key",
        type="password",
        key=name,
        value=st.session_state.get(_KEY, ""),
        help="Kept while this page is open, in this session alone. The ledger names it.",
    )
    st.session_state[_KEY] = typed or ""
    return (typed or "").strip()


def ask(title: str, preview: Preview, act: Callable[[Api, str], Outcome]) -> None:
    """A dialog: what would happen, why, under which key; and then what happened."""

    @st.dialog(title)
    @frame.guarded
    def dialog() -> None:
        st.write(preview.words)
        if not preview.changes:
            return
        confirm(title, act)

    dialog()


def confirm(title: str, act: Callable[[Api, str], Outcome]) -> None:
    """The lower half of a dialog: why, under which key, sure; and then what happened."""
    reason = st.text_input(
        "Why", max_chars=_LONGEST, placeholder="Kept for ever, with who and when"
    )
    key = key_box("dialog key")
    sure = st.checkbox("I have read what would happen")
    ready = bool(reason and reason.strip() and key and sure)
    if st.button(title, type="primary", disabled=not ready):
        try:
            done = act(Api(frame.settings(), key), (reason or "").strip())
        except RefusedError as refused:
            theme.say(Sentence("bad", str(refused)))
            return
        theme.say(Sentence("good", _RESULTS.get(done.result, f"{done.result}: {done.state}")))


def _opened_before(recipient: str) -> None:
    """Who did so lately."""
    newest = frame.source().read(
        ("opened", recipient),
        lambda connection: openings.newest(below(connection), recipient, most=_OPENINGS),
    )
    for each in newest:
        at = f"{words.clock(each.at, frame.zone())}, {words.ago(each.at, datetime.now(UTC))}"
        theme.soft(f"Opened {at}, by {each.actor}: {each.reason}")


def person(recipient: str) -> None:
    """A dialog that opens what is sealed of a recipient, through the API."""

    @st.dialog("Name and number")
    @frame.guarded
    def dialog() -> None:
        st.write(
            f"What is stored of {recipient} is sealed. Your own key, with the scope recipients,"
            " opens it; that you did, and why, is kept for ever."
        )
        _opened_before(recipient)
        reason = st.text_input("Why", max_chars=_LONGEST, key="person why") or ""
        key = key_box("person key")
        # Never disabled: what is being typed is known here only once something else is touched.
        if st.button("Open", type="primary"):
            if not (key and reason.strip()):
                theme.say(Sentence("look", "It takes a reason and your own key."))
                return
            try:
                found = Api(frame.settings(), key).open(recipient, reason.strip())
            except RefusedError as refused:
                theme.say(Sentence("bad", str(refused)))
                return
            st.write(f"{found.get('name') or 'no name'}, {found.get('phone') or 'no number'}")

    dialog()
