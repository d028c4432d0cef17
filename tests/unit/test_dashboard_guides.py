"""Runbooks are readable in place: each page is there, and each link between them lands here."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboard import guides
from observability.slos import definitions


def test_every_alert_has_its_page_here() -> None:
    assert set(definitions().alerts.values()) <= set(guides.names())


@pytest.mark.parametrize("name", guides.names())
def test_every_link_between_pages_lands_here(name: str) -> None:
    text = guides.text(name)
    assert guides.title(name) in text
    assert re.findall(r"\]\((?!https?://)[^)#\s]+\.md", text) == []
    for address in re.findall(r'<a target="_self" href="([^"]+)">', text):
        parts = urlsplit(address)
        assert parts.path == "/runbooks"
        assert parse_qs(parts.query)["page"][0] in guides.names()


def test_a_link_leads_where_it_led() -> None:
    text = guides.text("missed-checkin-unreached.md")
    assert '<a target="_self" href="/runbooks?page=provider-down.md">provider down</a>' in text
