"""Tiles: one objective each, the figure first; and the small bars of its days."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Literal

import streamlit as st
from msgspec import Struct

from dashboard.theme import link

_PX = 28
"""Height of the bars."""
_CAP = 2.0
"""A day that used more than twice what it may looks like one that used twice of it."""


class Day(Struct, frozen=True):
    """One bar."""

    words: str
    used: float | None
    """Share of what may go wrong on such a day, 1 is all of it; null: nothing was counted."""


class Tile(Struct, frozen=True, kw_only=True):
    """One objective."""

    title: str
    href: str
    tone: Literal["good", "look", "bad", "unknown"]
    state: str
    """In a word or two."""
    figure: str
    target: str
    lines: Sequence[str]
    days: Sequence[Day]
    runbook: str
    """Address of its page."""


_MARKS = {"good": "●", "look": "▲", "bad": "✗", "unknown": "○"}


def show(tiles: Sequence[Tile]) -> None:
    """Draw tiles in their order."""
    st.html(f'<div class="p-tiles">{"".join(map(_tile, tiles))}</div>')


def _tile(tile: Tile) -> str:
    lines = "".join(f"<span>{escape(line)}</span>" for line in tile.lines)
    return (
        f'<section class="p-tile p-{tile.tone}"><h3>{link(tile.title, tile.href)}</h3>'
        f'<div class="p-figure">{escape(tile.figure)}'
        f'<span class="p-soft">{escape(tile.target)}</span></div>'
        f'<div class="p-state"><i>{_MARKS[tile.tone]}</i> {escape(tile.state)}</div>'
        f'<div class="p-soft p-lines">{lines}</div>'
        f"{_bars(tile.days)}"
        f'<div class="p-foot"><span class="p-soft">30 days</span>'
        f"{link('runbook', tile.runbook)}</div></section>"
    )


def _bars(days: Sequence[Day]) -> str:
    bars = "".join(map(_bar, days))
    limit = _PX / _CAP
    return (
        f'<div class="p-days" style="height:{_PX}px" aria-label="{escape(_told(days))}">'
        f'<b style="bottom:{limit:.0f}px"></b>{bars}</div>'
    )


def _bar(day: Day) -> str:
    if day.used is None:
        return f'<i class="p-none" title="{escape(day.words)}"></i>'
    height = max(2.0, min(day.used, _CAP) / _CAP * _PX)
    over = ' class="p-over"' if day.used > 1 else ""
    return f'<i{over} style="height:{height:.0f}px" title="{escape(day.words)}"></i>'


def _told(days: Sequence[Day]) -> str:
    counted = [day for day in days if day.used is not None]
    over = sum(day.used is not None and day.used > 1 for day in counted)
    return f"{len(counted)} days counted, {over} of them beyond the target"
