"""Acknowledging what fires: who knows of it, beside the alert, and the dialog."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from dashboard import acting, frame, theme, words
from dashboard.frame import address, zone
from observability.slos import definitions
from outbox import wording
from outbox.domain.acknowledging import PARKED, Acknowledgement, Key

_SPANS = {
    "30 minutes": 1_800,
    "1 hour": 3_600,
    "2 hours": 7_200,
    "4 hours": 14_400,
    "8 hours": 28_800,
    "no longer: page again": 0,
}
_USUAL = "1 hour"


def known(acknowledged: Iterable[Acknowledgement], key: Key) -> str:
    """Who knows of it, why it may wait, until when; empty for nobody."""
    for each in acknowledged:
        if each.key == key:
            until = words.clock(each.until, zone())
            return f"acknowledged until {until} by {each.actor}: {each.reason}"
    return ""


def where(alert: str, label: str) -> str:
    """The address at which it is acknowledged."""
    return address("", acknowledge=alert, about=label)


def chosen() -> None:
    """The one that somebody chose, to be acknowledged."""
    alert = st.query_params.get("acknowledge", "")
    label = st.query_params.get("about", "")[:100]
    if alert not in definitions().alerts:
        return
    name = alert if not label else f"{alert} ({_about(alert, label)})"
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="actions"):
        theme.soft(name)
        if st.button("Acknowledge"):
            _ask(alert, label, name)


def _about(alert: str, label: str) -> str:
    return wording.reason(label) if alert == PARKED else wording.provider(label)


def _ask(alert: str, label: str, name: str) -> None:
    @st.dialog("Acknowledge")
    @frame.guarded
    def dialog() -> None:
        st.write(
            f"Nobody is paged for {name} again until then. It stays on this page, with your name"
            " beside it. If it ends before and fires anew, it pages."
        )
        span = st.selectbox("Until then", list(_SPANS), index=list(_SPANS).index(_USUAL))
        for_s = _SPANS[str(span)]
        acting.confirm(
            "Acknowledge it",
            lambda api, why: api.acknowledge(alert, label, for_s=for_s, reason=why),
        )

    dialog()
