"""The charts of all pages, in the colours of the theme."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import altair as alt
import streamlit as st

from dashboard.frame import Window
from dashboard.theme import SERIES
from observability.slos import definitions
from outbox.store.seen_minutes import floor

_TWO_DAYS = timedelta(days=2)
_TARGET = "#D55E00"


def bars(found: Sequence[tuple[datetime, str, int]], at: datetime, window: Window) -> None:
    """Stacked bars over a window: beginning of the bar, name of the series, how many; not empty."""
    order = list(SERIES)
    high: Counter[datetime] = Counter()
    rows = []
    for start, series, number in sorted(found, key=lambda bar: (bar[0], order.index(bar[1]))):
        low, high[start] = high[start], high[start] + number
        rows.append(
            {
                "from": _milliseconds(start),
                "to": _milliseconds(min(start + window.bucket, at)),
                "low": low,
                "high": high[start],
                "series": SERIES[series][0],
                "number": number,
            },
        )
    present = {row["series"] for row in rows}
    known = [pair for pair in SERIES.values() if pair[0] in present]
    _keys(known)
    # Two parts without height stretch the time axis over the window, whatever lies in it.
    rows += [
        {"from": end, "to": end, "low": 0, "high": 0, "series": known[0][0], "number": 0}
        for end in _ends(at, window)
    ]
    number_axis = alt.Axis(tickMinStep=1, tickCount=4, format=",d")
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        # Rectangles, as bars with two ends on the time axis are not stacked.
        .mark_rect(stroke=None)
        .encode(
            x=_time(window, "from:T"),
            x2="to:T",
            y=alt.Y("low:Q", title=None, scale=alt.Scale(zero=True), axis=number_axis),
            y2="high:Q",
            color=_colours(known),
            tooltip=[
                alt.Tooltip("from:T", title="accepted from", format="%d %b %H:%M:%S"),
                alt.Tooltip("series:N", title="became"),
                alt.Tooltip("number:Q", title="notifications", format=","),
            ],
        )
        .properties(height=230)
    )
    st.altair_chart(
        chart, alt="Notifications over time by what became of them; the table below has the sums"
    )


def shares(
    points: Mapping[str, Sequence[tuple[datetime, float]]],
    at: datetime,
    window: Window,
    *,
    name: str = "share that was good",
) -> None:
    """Shares over a window, one line an objective, each against the line of its target."""
    known = [SERIES.get(key, (definitions().slo[key].title, "#0072B2")) for key in points]
    named = dict(zip(points, (words for words, _ in known), strict=True))
    rows = [
        {"at": _milliseconds(moment), "share": share, "series": named[key]}
        for key, found in points.items()
        for moment, share in found
    ]
    targets = sorted({definitions().slo[key].target for key in points})
    low = min([*(share for found in points.values() for _, share in found), *targets])
    bottom = max(0.0, low - (1 - low) * 0.2 - 0.0005)
    _keys([*known, (f"target {', '.join(f'{each * 100:g} %' for each in targets)}", _TARGET)])
    axis = alt.Axis(format=".2%" if bottom > 0.9 else ".0%", tickCount=4)  # noqa: PLR2004 - digits
    y = alt.Y("share:Q", title=None, scale=alt.Scale(domain=[bottom, 1], nice=False), axis=axis)
    x = _time(window, "at:T")
    line = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=alt.OverlayMarkDef(size=28), interpolate="monotone")
        .encode(
            x=x,
            y=y,
            color=_colours(known),
            tooltip=[
                alt.Tooltip("at:T", title="from", format="%d %b %H:%M"),
                alt.Tooltip("series:N", title="what"),
                alt.Tooltip("share:Q", title=name, format=".3%"),
            ],
        )
    )
    target = (
        alt.Chart(alt.InlineData(values=[{"share": each} for each in targets]))
        .mark_rule(strokeDash=[5, 4], color=_TARGET, size=1.5)
        .encode(y=y)
    )
    # What cannot be seen stretches the time axis over the window.
    ends = alt.InlineData(values=[{"at": end} for end in _ends(at, window)])
    stretch = alt.Chart(ends).mark_rule(opacity=0).encode(x=x)
    st.altair_chart(
        alt.layer(line, target, stretch).properties(height=190),
        alt="Shares over time against their target; the table below has the sums",
    )


def _keys(known: Sequence[tuple[str, str]]) -> None:
    # In HTML, as a chart's own legend does not break where the line ends.
    keys = (f'<span><i style="background:{colour}"></i>{words}</span>' for words, colour in known)
    st.html(f'<div class="p-keys">{"".join(keys)}</div>')


def _colours(known: Sequence[tuple[str, str]]) -> alt.Color:
    names, colours = [words for words, _ in known], [colour for _, colour in known]
    scale = alt.Scale(domain=names, range=colours)
    return alt.Color("series:N", title=None, scale=scale, legend=None)


def _time(window: Window, field: str) -> alt.X:
    shown = "%H:%M" if window.length < _TWO_DAYS else "%d %b"
    return alt.X(
        field,
        title=None,
        scale=alt.Scale(nice=False),
        axis=alt.Axis(format=shown, tickCount=6, labelOverlap=True),
    )


def _ends(at: datetime, window: Window) -> tuple[int, int]:
    return _milliseconds(floor(at - window.length, window.bucket)), _milliseconds(at)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
