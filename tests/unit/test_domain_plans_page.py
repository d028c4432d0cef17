"""The reference page of the plans is what their tables say."""

from __future__ import annotations

from pathlib import Path

import pytest

from outbox.domain import plans_page
from outbox.domain.policy import default_policy, parse
from outbox.domain.segments import segments

_PAGE = Path(__file__).parents[2] / "runbooks" / "reference" / "plans.md"


def test_the_page_is_made_from_the_tables() -> None:
    assert _PAGE.read_text(encoding="utf-8") == plans_page.page()


def test_every_kind_stands_on_the_page() -> None:
    page = plans_page.page()
    assert all(f"`{kind}`" in page for kind in default_policy().plans)


def test_the_policy_that_the_page_shows_is_a_policy() -> None:
    shown = plans_page.page().partition("```toml\n")[2].partition("```")[0]
    policy = parse(shown)
    assert policy.plan("checkin.confirmed").quiet_hours == "21:00-08:00"
    assert policy.senders == {"+12025550123": 10}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ó" * 70, 1),
        ("ó" * 71, 2),
        ("🙂" * 35, 1),
        ("🙂" * 36, 2),
    ],
)
def test_parts_are_counted_as_carriers_count_them(text: str, parts: int) -> None:
    assert segments(text) == parts
