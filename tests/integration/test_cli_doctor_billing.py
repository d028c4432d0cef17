"""``pruuf doctor`` looks at Stripe, at the rules of billing and at what differed from its books."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

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


async def _doctor(cli: Cli, **settings: str) -> dict[str, dict[str, Any]]:
    # Nobody is told when an alert reaches nobody here: it never ends with 0.
    told = await asyncio.to_thread(cli.run, "doctor", "--json", env=settings)
    return {check["name"]: check for check in json.loads(told.ended(1).out)["checks"]}


async def test_what_is_wrong_with_billing_is_named(life: World, cli: Cli) -> None:
    await life.open()
    await life.work()
    sound = await _doctor(cli)
    for name in ("Stripe key", "Stripe price", "Stripe webhooks", "Stripe API version"):
        assert sound[name]["ok"], name
    assert sound["billing rules"]["ok"]
    assert not sound["Stripe's books"]["ok"]
    assert sound["Stripe's books"]["detail"] == "never compared"

    life.relay.rows(
        "UPDATE account SET role = 'member', role_at = now(), member_at = now(),"
        " member_by = 'x', member_why = 'x' RETURNING 1"
    )
    sick = await _doctor(cli, STRIPE_API_KEY="sk_test_of_nobody")
    assert "STRIPE_API_KEY" in sick["Stripe key"]["remedy"]
    assert "Stripe price" not in sick
    assert not sick["billing rules"]["ok"]
    assert "free for ever, and has a subscription" in sick["billing rules"]["remedy"]
    assert "of c_1" in sick["billing rules"]["remedy"]
