"""``pruuf reconcile stripe``: the simulated Stripe's books against ours, and what to do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from outbox.settings import Settings
from outbox.simulators.environment import environment as simulated_settings
from tests.integration.billing_world import World
from tests.integration.cli_process import Cli

from .billing_lives import life, stripe_url
from .conftest import environment

__all__ = ["life", "stripe_url"]


@pytest.fixture
def cli(tmp_path: Path, settings: Settings, stripe_url: str) -> Cli:
    values = simulated_settings(base_url=stripe_url, folder=tmp_path / "simulated")
    return Cli(tmp_path, **{**environment(settings.require_database()), **values})


async def test_a_difference_is_told_and_mended(life: World, cli: Cli) -> None:
    await life.open()
    await life.work()
    (sub,) = await life.subscriptions()
    await life.ask(life.sdk.subscriptions.update_async(sub.id, {"cancel_at_period_end": True}))
    await life.events()

    told = (await asyncio.to_thread(cli.run, "reconcile", "stripe")).ended(1)
    assert told.out.startswith("✗ 1 difference, $2.99 at stake: 2 customers and subscriptions")
    assert sub.id in told.out
    assert "of c_1" in told.out

    mended = await asyncio.to_thread(cli.run, "reconcile", "stripe", "--repair", "--yes", "--json")
    shape = json.loads(mended.ended(1).out)
    assert (shape["ok"], shape["repairs"], shape["amount"]) == (False, 1, 299)
    assert [each["cause"] for each in shape["differences"]] == ["ending"]

    # Both runs found the same: that is one billing error.
    assert life.relay.rows(
        "SELECT outcome, kind, code, n::integer FROM rollup_minute WHERE slo = 'billing'"
    ) == [("drift", "stripe", "ending", 1)]
    await life.relay.to_the_end(within_s=600)
    again = (await asyncio.to_thread(cli.run, "reconcile", "stripe")).ended(0)
    assert again.out.startswith("✓ both books tell the same: 2 customers and subscriptions")
    assert life.relay.rows("SELECT count(*) FROM billing_met") == [(0,)]
