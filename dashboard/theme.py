"""One visual language for all pages, light and dark: colours, tables, stories, plain sentences.

Colours are those of Okabe and Ito, which people with any colour vision tell apart; they never
carry meaning alone. Everything that is put into markup is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib import resources
from typing import Literal

import streamlit as st
from msgspec import Struct

from dashboard.words import percent
from outbox.story import Line

SERIES = {
    "sms": ("by SMS", "#0072B2"),
    "push": ("by push", "#56B4E9"),
    "page": ("by operator page", "#CC79A7"),
    "topic": ("through FCM's topics", "#E69F00"),
    "stripe": ("commands at Stripe", "#332288"),
    "unknown": ("by an unknown channel", "#F0E442"),
    "not_reached": ("not reached", "#D55E00"),
    "withdrawn": ("withdrawn", "#009E73"),
    "open": ("on its way", "#999999"),
}
"""Parts of a bar in their order from the bottom: words and colour."""

_LIGHT = {
    "primaryColor": "#0072B2",
    "backgroundColor": "#FFFFFF",
    "secondaryBackgroundColor": "#F4F6F8",
    "textColor": "#1B2733",
    "borderColor": "#DDE3E9",
}
_DARK = {
    "primaryColor": "#56B4E9",
    "backgroundColor": "#11161C",
    "secondaryBackgroundColor": "#1A222B",
    "textColor": "#E6EBF0",
    "borderColor": "#2E3944",
}


class Column(Struct, frozen=True):
    """One column of a table."""

    title: str
    css: str = ""
    """``n`` for figures, ``id`` for what must not break, ``wide`` to leave out on a phone."""


class Cell(Struct, frozen=True):
    """A cell that leads somewhere."""

    text: str
    href: str
    beside: str = ""
    """What follows the link where there is room."""


def options() -> dict[str, str]:
    """The colours as Streamlit's options."""
    return {
        **{f"theme.light.{name}": value for name, value in _LIGHT.items()},
        **{f"theme.dark.{name}": value for name, value in _DARK.items()},
    }


@cache
def _css() -> str:
    return resources.files(__package__).joinpath("theme.css").read_text("utf-8")


def apply() -> None:
    """Put the style on the page."""
    st.html(f"<style>{_css()}</style>")


class Sentence(Struct, frozen=True):
    """A sentence that stands out."""

    tone: Literal["good", "look", "bad"]
    text: str
    links: tuple[tuple[str, str], ...] = ()
    """Where to look closer: words and address."""


def say(*sentences: Sentence) -> None:
    """Sentences that stand out, told by a mark as well as by colour."""
    marks = {"good": "●", "look": "▲", "bad": "✗"}
    lines = (
        f'<p class="p-say p-{each.tone}"><i>{marks[each.tone]}</i>{escape(each.text)}'
        + "".join(f" {link(words, href)}" for words, href in each.links)
        + "</p>"
        for each in sentences
    )
    st.html("".join(lines))


def link(words: str, href: str) -> str:
    """A link within these pages, as markup."""
    return f'<a href="{escape(href)}">{escape(words)}</a>'


def soft(text: str, *, name: str = "") -> None:
    """A remark."""
    st.html(f'<span class="p-soft {escape(name)}">{escape(text)}</span>')


def line(title: str, parts: Sequence[str], href: str) -> None:
    """How something stands, in one line that leads to its page."""
    shown = "".join(f"<span>{escape(part)}</span>" for part in parts)
    st.html(f'<p class="p-line"><b>{link(title, href)}</b>{shown}</p>')


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str | Cell]],
    *,
    chosen: int | None = None,
) -> None:
    """A table that can be read by people, screen readers and tests alike."""
    head = "".join(f'<th scope="col" class="{c.css}">{escape(c.title)}</th>' for c in columns)
    body = "".join(
        f'<tr class="{"p-on" if position == chosen else ""}">'
        + "".join(
            f'<td class="{column.css}">{_cell(cell)}</td>'
            for column, cell in zip(columns, row, strict=True)
        )
        + "</tr>"
        for position, row in enumerate(rows)
    )
    st.html(
        f'<div class="p-scroll"><table class="p-table"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>",
    )


def _cell(cell: str | Cell) -> str:
    if isinstance(cell, Cell):
        beside = f'<span class="p-soft wide">{escape(cell.beside)}</span>'
        return f"{link(cell.text, cell.href)} {beside}"
    return escape(cell)


class Part(Struct, frozen=True):
    """A part of a whole."""

    name: str
    n: int
    whole: int
    meaning: str = ""


def parts(caption: str, rows: Sequence[Part]) -> None:
    """Parts of one whole, each with its figure, its share and a bar of that length."""
    body = "".join(
        f'<tr><th scope="row">{escape(each.name)}'
        f'<span class="p-soft wide">{escape(each.meaning)}</span></th>'
        f'<td class="n">{each.n:,}</td><td class="n">{percent(each.n, each.whole)}</td>'
        f'<td class="p-bar">{_bar(each)}</td>'
        "</tr>"
        for each in rows
    )
    st.html(
        f'<table class="p-table p-parts"><caption>{escape(caption)}</caption><tbody>{body}'
        "</tbody></table>"
    )


def _bar(part: Part) -> str:
    width = 100 * part.n / max(1, part.whole)
    return f'<i style="width:{width:.2f}%"></i>' if part.n else ""


def title(text: str, ending: str) -> None:
    """What a story is about, and how it ended."""
    st.html(f'<h3 class="p-title"><span>{escape(text)}</span> <span>{escape(ending)}</span></h3>')


def story(lines: Sequence[tuple[str, str, Line]]) -> None:
    """A timeline: time, time since the start, what happened, and the decision that followed."""
    items = "".join(
        f"<li><time>{escape(at)}</time><span class='p-soft'>{escape(after)}</span>"
        f"<span>{escape(line.what)}{_known(line.known)}{_then(line.then)}</span></li>"
        for at, after, line in lines
    )
    st.html(f'<ol class="p-story">{items}</ol>')


def _known(text: str) -> str:
    return f' <span class="p-soft">— {escape(text)}</span>' if text else ""


def _then(text: str) -> str:
    return f' <b class="p-then">→ {escape(text)}</b>' if text else ""
