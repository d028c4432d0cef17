"""An audit of a million notifications: the pass of each minute, and the whole of it, measured."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from outbox.domain.facts import Seals
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store import audit_pass
from outbox.store.audit_roots import extend
from outbox.store.connect import Role, connect

from .audit_world import audited
from .million import fill

_NUMBER = int(os.environ.get("AUDIT_NUMBER", "1000000"))


@pytest.mark.soak
async def test_a_million_notifications(settings: Settings) -> None:
    url, seals = settings.require_database(), Seals(settings.lookup_keys)
    until = datetime.now(UTC) - timedelta(minutes=30)
    sealer = Sealer(settings.keys, settings.lookup_keys)
    fill(url, sealer, _NUMBER, over=timedelta(hours=20), until=until)
    async with await connect(url, Role.AUDITOR, application="test") as connection:
        began, step, facts = time.perf_counter(), timedelta(minutes=1), 0
        await extend(connection, seals)
        closed = None
        while True:
            extended, step = await extend(connection, seals, step=step, closed=closed)
            closed = extended.closed
            facts += extended.facts
            if not extended.more:
                break
        print(f"\nroots over {facts:,} facts: {time.perf_counter() - began:.1f} s")
        made, passes = None, []
        for _ in range(5):
            made, found = await audit_pass.make(connection, seals, made)
            assert found == []
            passes.append(made.took_s)
        assert made is not None
        print("a pass each minute:", " ".join(f"{each:.2f}" for each in passes), "s")
        assert (made.accepted, made.pending) == (_NUMBER, _NUMBER // 100)
    report = await audited(settings, shards=None)
    print(f"the whole audit: {report.took_s:.1f} s")
    assert report.ok, report.found
    assert report.total("accepted") == _NUMBER
    with psycopg.connect(url) as owner:
        owner.execute(
            "DELETE FROM receipt WHERE notification = (SELECT notification FROM receipt"
            " ORDER BY notification LIMIT 1)"
        )
    report = await audited(settings, shards=None)
    assert {found.check for found in report.found} == {"row_missing", "delivered_unproven"}
