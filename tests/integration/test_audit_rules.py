"""The audit's first rules by themselves: each names its offender, though no root tells of it."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.integration.audit_world import audited, named
from tests.integration.relay_awaited import raise_alert
from tests.integration.relay_hand import Hand

_FORGED = {
    "open_without_due": "DELETE FROM due",
    "delivered_unproven": (
        "WITH d AS (DELETE FROM due) UPDATE notification SET state = 'delivered',"
        " proof = 'carrier', channel = 'sms', steps_taken = 0, final_at = now()"
    ),
    "final_with_due": (
        "UPDATE notification SET state = 'undeliverable', reason = 'x', final_at = now()"
    ),
    "cancelled_but_sent": (
        "WITH d AS (DELETE FROM due) UPDATE notification SET state = 'cancelled',"
        " reason = 'cancelled', final_at = now()"
    ),
    "open_at_rest": "UPDATE due SET due_at = 'infinity'",
    "parked_at_work": "UPDATE notification SET state = 'parked', reason = 'x'",
}


@pytest.mark.parametrize("check", _FORGED)
async def test_a_rule_names_who_breaks_it(by_hand: Hand, check: str) -> None:
    alert: UUID = await raise_alert(by_hand)
    await by_hand.once()
    assert named(await audited(by_hand.settings, shards=None)) == set()
    by_hand._owner.execute(_FORGED[check].encode())
    found = named(await audited(by_hand.settings, shards=None))
    assert check in {name for name, _, offender in found if offender.startswith(str(alert))}
