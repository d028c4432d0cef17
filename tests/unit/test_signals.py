"""The page of traces and logs names what the code makes, and the conventions' own names."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from observability.pages import FOLDER, pages
from observability.signals import ATTRIBUTES, WIDE

_ROOT = Path(__file__).resolve().parents[2]
_WIDE = re.compile(r'"((?:sms|push|stripe|operator|deadman|audit)\.[a-z_]+)"')
_ATTRIBUTE = re.compile(r'"((?:pruuf|http|url|server|db|messaging|error)\.[a-z_]+(?:\.[a-z_]+)*)"')
_ASGI = {"http.request", "http.disconnect", "http.response.start", "http.response.body"}
"""Messages of the server's protocol."""
_LOGGER = {"pruuf.wide"}
_NO_CALLS = {"operator.notice"}
"""A type of our own events."""


def _source(*folders: str) -> str:
    paths = [path for folder in folders for path in (_ROOT / folder).rglob("*.py")]
    return "\n".join(p.read_text(encoding="utf-8") for p in paths if p.name != "signals.py")


def test_the_page_is_up_to_date() -> None:
    written = (FOLDER / "traces-and-logs.md").read_text(encoding="utf-8")
    assert written == pages()["traces-and-logs.md"]


def test_every_wide_event_is_told() -> None:
    found = set(_WIDE.findall(_source("outbox/providers", "outbox/relay", "gateway/cli")))
    told = {name for name in found if not name.startswith("stripe.")}
    assert told - _NO_CALLS - {"operator.page"} == set(WIDE) - {"stripe.…", "operator.page"}


def test_every_attribute_is_told() -> None:
    code = _source("observability", "outbox/providers", "outbox/relay", "gateway")
    assert set(_ATTRIBUTE.findall(code)) - _ASGI - _LOGGER == set(ATTRIBUTES)


def test_attributes_of_others_are_those_of_the_conventions() -> None:
    known: set[str] = set()
    for kind in ("http", "url", "server", "db", "error", "messaging"):
        for place in ("attributes", "_incubating.attributes"):
            try:
                module = import_module(f"opentelemetry.semconv.{place}.{kind}_attributes")
            except ImportError:
                continue
            known |= {value for value in vars(module).values() if isinstance(value, str)}
    assert {name for name in ATTRIBUTES if not name.startswith("pruuf.")} - known == set()
