"""Page *Webhooks*: what providers told us, whether it was applied, how soon, and what failed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import streamlit as st
from msgspec import Struct
from sqlalchemy import Connection

from dashboard import acting, billing, charts, frame, theme, words
from dashboard.acting import Preview
from dashboard.frame import Window, address, zone
from dashboard.readings import below
from dashboard.theme import Cell, Column, Sentence
from observability import telling
from observability.burn import Outcomes, counts
from observability.slos import definitions
from outbox import wording
from outbox.store import inbox_reads, seen_minutes, seen_webhooks
from outbox.store.inbox_reads import Failed, Wanted
from outbox.store.reading import run
from outbox.store.seen_minutes import OPEN, Minutes
from outbox.store.seen_webhooks import Lag, TypeSeen

_REFRESH_S = 10
_SLO = "webhooks"
_FAILED_SHOWN = 30
_PROVIDERS = {"twilio_inbound": "Twilio: texts to us", "twilio": "Twilio: receipts"}
_AGAIN = Preview(
    "It is put back into the inbox as it came, and applied once more within seconds. Where the"
    " cause is still there, it fails again, with its error.",
    changes=True,
)


class Webhooks(Struct, frozen=True, kw_only=True):
    """A window."""

    at: datetime
    window: Window
    minutes: Sequence[Minutes]
    lags: dict[str, Lag]
    types: Sequence[TypeSeen]
    failed: Sequence[Failed]


def page() -> None:
    """The page; only its inner part is drawn anew by itself."""
    window = frame.heading("Webhooks")
    source = frame.source()
    _chosen()
    frame.live(
        lambda: source.read(
            ("webhooks", window.name), partial(look, window=window), keep_s=window.keep_s
        ),
        _show,
        every_s=_REFRESH_S,
        unknown="Whether we hear what providers tell us is unknown.",
        at=lambda seen: seen.at,
    )


def look(connection: Connection, window: Window) -> Webhooks:
    """Read a window; the connection's transaction should be repeatable read."""
    below_it = below(connection)
    at = seen_minutes.clock(below_it)
    wanted = Wanted(since=at - window.length, limit=_FAILED_SHOWN)
    return Webhooks(
        at=at,
        window=window,
        minutes=seen_minutes.read(
            below_it, [_SLO], now=at, length=window.length, bucket=window.bucket
        ),
        lags=seen_webhooks.lags(below_it, now=at, length=window.length),
        types=seen_webhooks.types(below_it, since=at - window.length),
        failed=run(connection, inbox_reads.failures(wanted)).items,
    )


def _chosen() -> None:
    """The one that somebody chose below, to be applied again."""
    chosen = st.query_params.get("callback", "")[:64]
    if not chosen:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="actions"):
        theme.soft(f"Callback {chosen}")
        if st.button("Apply again"):
            acting.ask(
                "Apply again",
                _AGAIN,
                lambda api, why: api.act("callbacks", chosen, "redrive", why),
            )


def _show(seen: Webhooks) -> None:
    by: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in seen.minutes:
        by[row.kind][row.outcome] += row.n
    if not by:
        theme.say(Sentence("look", f"No webhook came in the last {seen.window.words}."))
        return
    whole: Counter[str] = Counter()
    for found in by.values():
        whole.update(found)
    _verdict(seen, whole)
    _table(seen, by)
    st.header("Processed, against what is promised", anchor=False)
    _chart(seen)
    st.header("Could not be applied", anchor=False)
    _failed(seen)
    st.header("Stripe's, by type", anchor=False)
    _types(seen)


def _rate(found: Outcomes) -> float | None:
    known = {outcome: n for outcome, n in found.items() if outcome != OPEN}
    return counts(definitions().slo[_SLO], known).rate


def _verdict(seen: Webhooks, whole: Outcomes) -> None:
    said = []
    slo = definitions().slo[_SLO]
    rate = _rate(whole)
    runbook = ("Runbook", address("runbooks", page=slo.runbook))
    if rate is not None and rate < slo.target:
        kept = f"{telling.percent(rate)} were processed within a minute"
        text = f"{kept}; promised are {slo.target * 100:g} %."
        said.append(Sentence("bad", text, (runbook,)))
    if seen.failed:
        more = "more than " if len(seen.failed) >= _FAILED_SHOWN else ""
        text = f"{more}{len(seen.failed)} could not be applied; they are below."
        said.append(Sentence("look", text, (runbook,)))
    if whole.get("forged"):
        text = f"{words.number(whole['forged'])} were refused, as their signature does not fit."
        forged = ("Runbook", address("runbooks", page="forged-callbacks.md"))
        said.append(Sentence("look", text, (forged,)))
    theme.say(*said or [Sentence("good", "What providers told us was applied in time.")])


def _table(seen: Webhooks, by: dict[str, Counter[str]]) -> None:
    rows = []
    for provider, found in sorted(by.items()):
        received = sum(found.values())
        lag = seen.lags.get(provider)
        rows.append(
            [
                _PROVIDERS.get(provider) or wording.provider(provider),
                words.number(received),
                words.number(received - found["forged"] - found["not_stored"]),
                words.number(found["applied"]),
                words.number(found["failed"]),
                words.number(found["waiting"] + found[OPEN]),
                words.number(found["forged"]),
                telling.percent(_rate(found)),
                wording.span(lag.p50_s if lag else None),
                wording.span(lag.p99_s if lag else None),
            ]
        )
    columns = [
        Column("From"),
        Column("Received", "n"),
        Column("Verified", "n wide"),
        Column("Applied", "n"),
        Column("Failed", "n"),
        Column("Late or waiting", "n wide"),
        Column("Forged", "n wide"),
        Column("Processed", "n"),
        Column("Lag p50", "n wide"),
        Column("p99", "n wide"),
    ]
    theme.table("By provider", columns, rows)


def _chart(seen: Webhooks) -> None:
    buckets: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    for row in seen.minutes:
        buckets[row.bucket][row.outcome] += row.n
    rates = [(bucket, _rate(found)) for bucket, found in sorted(buckets.items())]
    points = [(bucket, rate) for bucket, rate in rates if rate is not None]
    charts.shares({_SLO: points}, seen.at, seen.window)


def _failed(seen: Webhooks) -> None:
    if not seen.failed:
        theme.soft("None in this window. That is good.")
        return
    rows: list[list[str | Cell]] = [
        [
            Cell(
                words.clock(each.received_at, zone()),
                address("webhooks", window=seen.window.name, callback=str(each.id)),
                words.ago(each.received_at, seen.at),
            ),
            _PROVIDERS.get(each.provider) or wording.provider(each.provider),
            each.error,
            words.number(each.tries),
        ]
        for each in seen.failed
    ]
    columns = [Column("Received", "id"), Column("From"), Column("Error"), Column("Tries", "n")]
    theme.table("Could not be applied", columns, rows)
    theme.soft("Choose one by its time to apply it again.")


def _types(seen: Webhooks) -> None:
    if not seen.types:
        theme.soft("No webhook of Stripe was applied in this window.")
        return
    rows = [
        [
            each.type,
            billing.RESULTS.get(each.result, each.result),
            words.number(each.n),
            words.ago(each.newest, seen.at),
        ]
        for each in seen.types
    ]
    columns = [Column("Type"), Column("Result", "id"), Column("Times", "n"), Column("Newest", "id")]
    theme.table("By type", columns, rows)
