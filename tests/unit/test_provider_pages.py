"""The reference pages are what their data makes of them."""

from __future__ import annotations

from pathlib import Path

from outbox.domain.outcomes import Result
from outbox.providers import codes_page
from outbox.simulators import magic, magic_page

REFERENCE = Path(__file__).resolve().parents[2] / "runbooks" / "reference"


def test_the_page_of_codes_is_true() -> None:
    assert (REFERENCE / "errors.md").read_text(encoding="utf-8") == codes_page.page()


def test_the_page_of_codes_explains_every_class() -> None:
    explained = [result for result, *_ in codes_page._CLASSES]
    assert sorted(explained) == sorted(Result)


def test_the_page_of_the_simulators_is_true() -> None:
    assert (REFERENCE / "simulator.md").read_text(encoding="utf-8") == magic_page.page()


def test_the_page_of_the_simulators_shows_every_outcome() -> None:
    page = magic_page.page()
    for outcome in magic.TABLE:
        assert f"`{outcome.name}` | {outcome.what}" in page
        assert all(area in page for area in outcome.areas)
        assert outcome.prefix in page
