"""The reference page of the command line is what the verbs say of themselves."""

from __future__ import annotations

from pathlib import Path

from gateway.cli import page

_PAGE = Path(__file__).parents[2] / "runbooks" / "reference" / "cli.md"


def test_the_page_is_made_from_the_verbs() -> None:
    assert _PAGE.read_text(encoding="utf-8") == page.page()
