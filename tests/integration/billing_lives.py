"""Fixtures for lives of accounts; a module's tests share one simulated Stripe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from outbox.settings import Settings
from tests.contract.simulated import for_many
from tests.integration.billing_world import World, world

from .conftest import MakeKey


@pytest.fixture
def stripe_url(tmp_path: Path) -> Iterator[str]:
    """A simulated Stripe of this test's own: it has one clock and one list of events."""
    with for_many(tmp_path / "ledger.db") as url:
        yield url


@pytest.fixture
async def life(
    settings: Settings,
    stripe_url: str,
    tmp_path: Path,
    make_key: MakeKey,
) -> AsyncIterator[World]:
    """A gateway, a relay by hand and Stripe."""
    async with world(settings, stripe_url, tmp_path, make_key()) as made:
        yield made


def forget(life: World) -> None:
    """As if nothing of Stripe's had ever been heard."""
    for table in ("subscription", "invoice", "payment_method", "reversal", "billing_unowned"):
        life.relay.rows(f"DELETE FROM {table} RETURNING 1")
    life.relay.rows("DELETE FROM inbox RETURNING 1")
    life.relay.rows("DELETE FROM billing_event WHERE source = 'stripe' RETURNING 1")
    life.relay.rows(
        "UPDATE account SET customer = NULL, default_method = NULL, credit = 0, seen_at = NULL,"
        " seen = '{}', customer_gone_at = NULL RETURNING 1"
    )
