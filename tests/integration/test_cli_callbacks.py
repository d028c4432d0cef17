"""``pruuf callbacks`` and ``pruuf redrive`` of what could not be applied."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from uuid import UUID

import pytest

from outbox.domain.callbacks import Callback
from outbox.domain.ids import new_id
from outbox.store import inbox
from outbox.store.inbox import sealed
from tests.integration.cli_process import Cli

from .conftest import environment
from .relay_hand import Hand

_WHY = ("--reason", "the fix is deployed")


@pytest.fixture
def cli(tmp_path: Path, database_url: str) -> Cli:
    return Cli(tmp_path, **environment(database_url))


async def _failed(by_hand: Hand, count: int) -> list[UUID]:
    items = [
        sealed(
            by_hand.sealer,
            Callback(
                source="twilio",
                status="delivered",
                provider_id=f"SM{number:032x}",
                notification=new_id(number),
                raw={"To": "+12025550123", "MessageStatus": "delivered"},
            ),
            lane=2,
        )
        for number in range(count)
    ]
    connection = await by_hand.gateway()
    async with connection.transaction():
        await inbox.store(connection, items)
    by_hand.rows(
        "UPDATE inbox SET done_at = now(), note = 'cannot be applied: DataError' RETURNING 1"
    )
    return sorted(item.id for item in items)


def _waiting(by_hand: Hand) -> int:
    return len(by_hand.rows("SELECT FROM inbox WHERE done_at IS NULL"))


async def test_what_failed_is_listed_shown_masked_and_put_back(by_hand: Hand, cli: Cli) -> None:
    one, other = await _failed(by_hand, 2)
    told = cli.run("callbacks", "--provider", "twilio").ended(0).out
    assert told.index(str(other)) < told.index(str(one))
    assert "cannot be applied: DataError" in told
    told = cli.run("callbacks", str(one)).ended(0).out
    assert '"MessageStatus": "delivered"' in told
    assert "+12025550123" not in told
    would = cli.run("redrive", str(one), "--dry-run", "--json").ended(0)
    assert json.loads(would.out) == {
        "id": str(one),
        "result": "redriven",
        "state": "waiting",
        "dry_run": True,
    }
    assert _waiting(by_hand) == 0
    assert by_hand.rows("SELECT FROM inbox_action") == []

    done = cli.run("redrive", str(one), *_WHY, "--yes").ended(0)
    assert "✓ back in the inbox, to be applied once more" in done.out
    await by_hand.apply()
    [(callback, actor, reason)] = by_hand.rows("SELECT callback, actor, reason FROM inbox_action")
    assert (callback, reason) == (one, "the fix is deployed")
    assert getpass.getuser() in actor
    again = cli.run("redrive", str(one), *_WHY, "--yes").ended(1)
    assert "✗ applied, and left as it is" in again.out


async def test_all_that_failed_is_put_back_at_once(by_hand: Hand, cli: Cli) -> None:
    await _failed(by_hand, 3)
    told = cli.run("redrive", "--callbacks", "--since", "1h", "--dry-run").ended(0).out
    assert "3  twilio  cannot be applied: DataError" in told
    assert "3 would be redriven" in told
    assert _waiting(by_hand) == 0
    cli.run("redrive", "--callbacks", *_WHY, "--yes").ended(0)
    assert _waiting(by_hand) == 3
    await by_hand.apply()
    assert "Every callback" in cli.run("callbacks").ended(0).out
