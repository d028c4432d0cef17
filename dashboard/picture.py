"""The picture of a notification's life: one lane for each way, time from left to right.

Columns follow the order of events, not the clock: a call of milliseconds and a minute of waiting
are both seen; how long it was stands below. Marks say by their form what colour says too.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

import streamlit as st
from msgspec import Struct

from dashboard import words
from outbox import wording
from outbox.domain.outcomes import SENT
from outbox.domain.timeline import ASKED, Entry
from outbox.store.views import Notification

_MOST = 24
"""Columns; of a longer life the middle is left out."""
_DECISIONS = "decisions"
_ORDER = ("sms", "push", "topic", "topics", "page", "stripe", "app", _DECISIONS)
_LONG_S = 2.0
_ARRIVED = {"delivered", "read", "received", "opened"}
_LOST = {"undelivered", "failed", "canceled"}


class Mark(Struct, frozen=True, kw_only=True):
    """One event in its lane."""

    lane: str
    tone: Literal["good", "bad", "plain"]
    form: str
    text: str
    meaning: str


def show(told: Notification) -> None:
    """Draw it."""
    st.html(markup(told))


def markup(told: Notification) -> str:
    """The picture; a person who does not see it has the story below."""
    entries = _shortened(told.timeline)
    marks = [None if entry is None else mark(entry) for entry in entries]
    lanes = [lane for lane in _ORDER if any(each and each.lane == lane for each in marks)]
    cells = "".join(
        f'<b class="p-lane" style="grid-row:{row}">{escape(_lane(lane))}</b>'
        f'<hr style="grid-row:{row};grid-column:2/{len(marks) + 2}"/>'
        for row, lane in enumerate(lanes, 1)
    )
    cells += "".join(_bars(entries, marks, lanes))
    for column, each in enumerate(marks, 2):
        if each is None:
            cells += f'<span class="p-mark" style="grid-row:1;grid-column:{column}">…</span>'
            continue
        cells += (
            f'<span class="p-mark p-{each.tone}" title="{escape(each.meaning)}"'
            f' style="grid-row:{lanes.index(each.lane) + 1};grid-column:{column}">'
            f"<i>{each.form}</i><small>{escape(each.text)}</small></span>"
        )
    cells += _axis(told, entries, len(lanes) + 1)
    return (
        f'<div class="p-scroll"><div class="p-picture" role="img" aria-label="{_told(lanes)}"'
        f' style="grid-template-columns:5.2rem repeat({len(marks)},minmax(5.4rem,1fr))">'
        f"{cells}</div></div>"
    )


def _told(lanes: Sequence[str]) -> str:
    return escape(f"Who was told when, by {', '.join(map(_lane, lanes))}; the story is below")


def _lane(lane: str) -> str:
    return {"app": "the app", _DECISIONS: _DECISIONS}.get(lane) or wording.channel(lane)


def _shortened(timeline: Sequence[Entry]) -> list[Entry | None]:
    if len(timeline) <= _MOST:
        return list(timeline)
    half = _MOST // 2
    return [*timeline[:half], None, *timeline[-half:]]


def mark(entry: Entry) -> Mark:
    """What is drawn for one line of the timeline."""
    if entry.what == "attempt":
        return _attempt(entry)
    if entry.what == "receipt":
        lane = "app" if entry.provider == "app" else entry.channel or _DECISIONS
        status = entry.outcome or ""
        tone: Literal["good", "bad", "plain"] = "plain"
        form = "◇"
        if status in _ARRIVED:
            tone, form = "good", "✓"
        elif status in _LOST or entry.code:
            tone, form = "bad", "✗"
        code = f" {entry.code}" if entry.code else ""
        meaning = wording.with_code(entry.provider, entry.code) if entry.code else status
        return Mark(lane=lane, tone=tone, form=form, text=f"{status}{code}", meaning=meaning)
    return _decision(entry)


def _attempt(entry: Entry) -> Mark:
    lane = entry.channel or _DECISIONS
    if (entry.detail or "").startswith(ASKED):
        return Mark(lane=lane, tone="plain", form="?", text="asked", meaning=entry.detail or "")
    took = f" {entry.latency_ms} ms" if entry.latency_ms else ""
    if entry.outcome in SENT:
        text = f"called{took}"
        return Mark(lane=lane, tone="plain", form="●", text=text, meaning="taken by the provider")
    shown = entry.code or wording.RESULTS.get(entry.outcome or "", entry.outcome or "")
    meaning = wording.with_code(entry.provider, entry.code) if entry.code else shown
    return Mark(lane=lane, tone="bad", form="✗", text=shown.replace("_", " "), meaning=meaning)


def _decision(entry: Entry) -> Mark:
    if entry.what == "accepted":
        text, form, tone = "accepted", "▶", "plain"
    elif entry.what == "redriven":
        text, form, tone = "sent again", "↻", "plain"
    elif entry.outcome == "next_step":
        text, form, tone = f"next: {wording.channel(entry.channel)}", "→", "plain"
    else:
        state = entry.outcome or entry.what
        marked = words.marked(state)
        form, _, text = marked.partition(" ")
        if form == "?":
            form, text = "✎", entry.what
        tone = {"✓": "good", "✗": "bad", "▲": "bad"}.get(form, "plain")
    return Mark(
        lane=_DECISIONS,
        tone=tone,  # type: ignore[arg-type] # one of the three
        form=form,
        text=text,
        meaning=entry.detail or text,
    )


def _bars(
    entries: Sequence[Entry | None], marks: Sequence[Mark | None], lanes: Sequence[str]
) -> list[str]:
    """From each call to the last word on it: how long nobody knew."""
    bars = []
    for column, entry in enumerate(entries):
        if entry is None or entry.what != "attempt" or entry.outcome not in SENT:
            continue
        if (entry.detail or "").startswith(ASKED):
            continue
        last = max(
            (
                place
                for place, other in enumerate(entries)
                if other is not None
                and place > column
                and other.step == entry.step
                and other.what == "receipt"
                and marks[place] is not None
            ),
            default=column,
        )
        if last > column:
            row = lanes.index(entry.channel or _DECISIONS) + 1
            bars.append(f'<u style="grid-row:{row};grid-column:{column + 2}/{last + 3}"></u>')
    return bars


def _axis(told: Notification, entries: Sequence[Entry | None], row: int) -> str:
    cells = f'<b class="p-lane p-soft" style="grid-row:{row}">after</b>'
    before = told.created_at
    for column, entry in enumerate(entries, 2):
        if entry is None:
            continue
        passed = (entry.at - before).total_seconds()
        waited = f"<br/>waited {wording.span(passed)}" if passed > _LONG_S else ""
        cells += (
            f'<span class="p-soft p-after" style="grid-row:{row};grid-column:{column}">'
            f"{words.since(entry.at, told.created_at)}{waited}</span>"
        )
        before = max(before, entry.at)
    return cells
