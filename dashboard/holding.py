"""Holding a provider and releasing it: what is held, seen on its pages, and the two dialogs."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from msgspec import Struct
from sqlalchemy import Connection

from dashboard import acting, frame, words
from dashboard.frame import address, zone
from dashboard.readings import below
from dashboard.theme import Sentence
from outbox import wording
from outbox.domain.holds import CHANNELS, Sender
from outbox.store import holds
from outbox.store.holds import Hold, Touched
from outbox.store.sql import statement

_RUNBOOK = address("runbooks", page="provider-held.md")
_SPANS = {
    "15 minutes": 900,
    "1 hour": 3_600,
    "4 hours": 14_400,
    "12 hours": 43_200,
    "24 hours": 86_400,
}
_USUAL = "1 hour"


class _Holdable(Struct, frozen=True, kw_only=True):
    """What the dialogs are about."""

    senders: list[Sender]
    holds: list[Hold]


def sender(name: str) -> str:
    """A sender in words; it is known by its hash alone."""
    return f"number {name[:6]}…" if name else "all of it"


def sentences(held: Sequence[Hold]) -> list[Sentence]:
    """Who holds what, why, and until when."""
    return [
        Sentence(
            "look",
            f"{wording.provider(each.provider)}, {sender(each.sender)}, is held until"
            f" {words.clock(each.until, zone())} by {each.actor}: {each.reason}.",
            (("Runbook", _RUNBOOK),),
        )
        for each in held
    ]


def buttons() -> None:
    """What a person may do; each opens a dialog."""
    with st.container(horizontal=True, horizontal_alignment="right", key="actions"):
        if st.button("Hold a provider"):
            _hold()
        if st.button("Release a provider"):
            _release()


@st.dialog("Hold a provider")
@frame.guarded
def _hold() -> None:
    seen = frame.source().read("holdable", _look)
    provider = str(
        st.selectbox("Provider", list(CHANNELS), format_func=wording.provider, key="held provider")
    )
    known = [each.sender for each in seen.senders if each.provider == provider and each.sender]
    one = st.selectbox("Sender", ["", *known], format_func=sender, key="held sender") or ""
    span = st.selectbox("For", list(_SPANS), index=list(_SPANS).index(_USUAL), key="held for")
    touched = frame.source().read(
        ("touched", provider, one), lambda c: holds.touches(below(c), provider, one, seen.senders)
    )
    st.write(preview(touched, others=_are_left(seen.senders, provider, one)))
    for_s = _SPANS[str(span)]
    acting.confirm("Hold it", lambda api, why: api.hold(provider, one, for_s=for_s, reason=why))


@st.dialog("Release a provider")
@frame.guarded
def _release() -> None:
    seen = frame.source().read("holdable", _look)
    if not seen.holds:
        st.write("Nobody holds a provider: there is nothing to release.")
        return
    named = {
        f"{wording.provider(each.provider)}, {sender(each.sender)}": each for each in seen.holds
    }
    chosen = named[str(st.selectbox("Which", list(named), key="released"))]
    until = words.clock(chosen.until, zone())
    st.write(f"{chosen.actor} holds it until {until}: {chosen.reason}.")
    st.write("The relays call it again within seconds, and send what waits for it.")
    acting.confirm(
        "Release it",
        lambda api, why: api.release(chosen.provider, chosen.sender, reason=why),
    )


def _look(connection: Connection) -> _Holdable:
    rows = below(connection).execute(statement("seen_breakers")).fetchall()
    return _Holdable(senders=holds.senders_of(rows), holds=holds.in_force(below(connection)))


def _are_left(senders: Sequence[Sender], provider: str, one: str) -> bool:
    """Whether another sender of the provider goes on."""
    return bool(one) and any(
        each.usable and each.provider == provider and each.sender != one for each in senders
    )


def preview(touched: Touched, *, others: bool) -> str:
    """What would come of a hold; ``others``: another sender of the provider is left."""
    if others:
        return "Its other senders go on: everything goes by them, and nothing waits."
    said = [
        "No relay calls it any more; a call that is under way is not stopped.",
        f"Alerts on the way that would have gone by it: {_many(touched.alerts)}.",
    ]
    if touched.alerts:
        said.append("They take their next step at once.")
    if touched.stranded:
        said.append(
            f"Alerts to which no other way is left: {_many(touched.stranded)}."
            " They wait until the release, and a person is paged for each."
        )
    said.append(f"Other notifications that wait until the release: {_many(touched.others)}.")
    if touched.others:
        said.append("What is too late by then is not sent, as a one-time code after ten minutes.")
    return " ".join(said)


def _many(n: int) -> str:
    return f"{'more than ' if n >= holds.MOST else ''}{words.number(n)}"
