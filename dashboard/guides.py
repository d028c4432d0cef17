"""Page *Runbooks*: what to do, readable in place, with how its alerts stand at this moment."""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

import streamlit as st
from msgspec import Struct
from sqlalchemy import Connection

from dashboard import frame, theme
from dashboard.frame import address
from dashboard.readings import below
from dashboard.theme import Column, Sentence
from observability import telling
from observability.judging import Judgement, judge
from observability.slos import definitions
from outbox.store import objectives, seen_minutes

_REFRESH_S = 10
_KEPT_S = 5.0
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+\.md)(?:#[^)]*)?\)")
_INDEX = "all"


class Standing(Struct, frozen=True, kw_only=True):
    """One look of the evaluator."""

    at: datetime
    judgement: Judgement


@cache
def _folder() -> Traversable:
    return resources.files("runbooks")


@cache
def names() -> tuple[str, ...]:
    """Every page: those of alerts by name, then the reference."""
    pages = sorted(each.name for each in _folder().iterdir() if each.name.endswith(".md"))
    more = sorted(e.name for e in (_folder() / "reference").iterdir() if e.name.endswith(".md"))
    return (*pages, *(f"reference/{name}" for name in more))


def text(name: str) -> str:
    """A page as it is kept, with links that lead to pages here."""
    kept = _folder().joinpath(*name.split("/")).read_text("utf-8")
    where = name.split("/")[:-1]

    def here(found: re.Match[str]) -> str:
        parts = list(where)
        for part in found[2].split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part != ".":
                parts.append(part)
        target = "/".join(parts)
        if target not in names():
            return found[0]
        # Streamlit opens what is a link in Markdown in another tab.
        return f'<a target="_self" href="{address("runbooks", page=target)}">{found[1]}</a>'

    return _LINK.sub(here, kept)


def title(name: str) -> str:
    """The first line of a page."""
    line = _folder().joinpath(*name.split("/")).read_text("utf-8").partition("\n")[0]
    return line.removeprefix("# ").strip()


def page() -> None:
    """The page; only the figures are drawn anew by themselves."""
    chosen = frame.choice(
        st.container(),
        "Runbook",
        (_INDEX, *names()),
        name="page",
        named=lambda name: "All runbooks" if name == _INDEX else title(name),
    )
    _figures(chosen)
    if chosen == _INDEX:
        _index()
        return
    with st.container(key="runbook"):
        # Our own pages, as they are shipped.
        st.markdown(text(chosen), unsafe_allow_html=True)


def _index() -> None:
    st.title("Runbooks", anchor=False)
    for head, wanted in (("What to do", False), ("What is what", True)):
        st.header(head, anchor=False)
        found = [name for name in names() if name.startswith("reference/") is wanted]
        links = (f"<li>{theme.link(title(n), address('runbooks', page=n))}</li>" for n in found)
        st.html(f'<ul class="p-list">{"".join(links)}</ul>')


def _figures(chosen: str) -> None:
    source = frame.source()

    def ask(connection: Connection) -> Standing:
        seen = objectives.look(below(connection), definitions())
        readings = ((each.measure, each.label, each.value) for each in seen.readings)
        return Standing(
            at=seen_minutes.clock(below(connection)),
            judgement=judge(definitions(), seen.counted, readings),
        )

    frame.live(
        lambda: source.read("standing", ask, keep_s=_KEPT_S),
        lambda seen: _show(seen.judgement, chosen),
        every_s=_REFRESH_S,
        unknown="What fires is unknown.",
        at=lambda seen: seen.at,
    )


def _show(judgement: Judgement, chosen: str) -> None:
    alerts = sorted(a for a, page in definitions().alerts.items() if page == chosen)
    firing = [each for each in judgement.firing if chosen in {_INDEX, each.runbook}]
    said = [
        Sentence(
            "bad" if each.severity == "page" else "look",
            f"{each.name} fires{f' ({each.label})' if each.label else ''}. {each.detail}.",
            (("Runbook", address("runbooks", page=each.runbook)),) if chosen == _INDEX else (),
        )
        for each in firing
    ]
    if alerts and not said:
        said = [Sentence("good", f"Quiet now: {', '.join(alerts)}.")]
    if said:
        theme.say(*said)
    rows = [
        [
            each.title,
            telling.percent(each.rate),
            telling.target(each.target),
            telling.budget(each),
            telling.burning(each.burn),
            f"{each.bad:,} of {each.good + each.bad:,}",
        ]
        for each in judgement.standings
        if each.runbook == chosen
    ]
    if rows:
        columns = [
            Column("30 days"),
            Column("Stands at", "n"),
            Column("Target", "n"),
            Column("Budget left", "n"),
            Column("Burning", "n"),
            Column("Bad", "n wide"),
        ]
        theme.table("Where it stands", columns, rows)
