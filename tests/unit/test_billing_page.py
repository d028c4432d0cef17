"""The reference page of billing is what its tables say, and they are complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from outbox.domain import billing_facts, billing_page
from outbox.domain.billing_webhooks import Effect, row_of, table

_PAGE = Path(__file__).parents[2] / "runbooks" / "reference" / "billing.md"


def test_the_page_is_made_from_the_tables() -> None:
    assert _PAGE.read_text(encoding="utf-8") == billing_page.page()


def test_every_kind_of_the_backend_stands_on_the_page() -> None:
    page = billing_page.page()
    assert all(f"`{kind}`" in page for kind in billing_facts.BACKEND_KINDS)


def test_whatever_must_or_should_be_handled_is() -> None:
    wanted = [row for row in table().values() if row.need in {"must", "should"}]
    assert len(wanted) > 25
    assert [row.type for row in wanted if row.effect is Effect.KEEP] == []


@pytest.mark.parametrize(
    ("type_", "known"),
    [
        ("customer.subscription.deleted", True),
        ("subscription_schedule.aborted", True),
        ("customer.tax_id.created", False),
        ("nonsense", False),
    ],
)
def test_families_and_strangers_are_told_apart(type_: str, *, known: bool) -> None:
    assert (row_of(type_) is not None) is known
