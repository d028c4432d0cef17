"""What gateways answered, in the minutes: what was accepted, refused, not made durable, forged."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.tally import Outcome, Tally, outcome_of
from observability.metrics import new_registry
from observability.outcomes import OutcomeCounter
from outbox.settings import Settings
from outbox.store.connect import Connection, Role, connect
from tests.integration.conftest import rows

_EVENTS = Outcome("events", "accepted")


@pytest.mark.parametrize(
    ("route", "status", "expected"),
    [
        ("/v1/events", 202, _EVENTS),
        ("/v1/events", 422, Outcome("events", "refused")),
        ("/v1/events/stream", 503, Outcome("events", "failed")),
        ("/v1/events", 499, Outcome("events", "gone")),
        ("/webhooks/twilio/status", 403, Outcome("webhooks", "forged", "twilio")),
        ("/webhooks/stripe", 503, Outcome("webhooks", "not_stored", "stripe")),
        ("/webhooks/twilio/status", 204, None),
        ("/v1/recipients/{recipient:str}", 500, None),
    ],
)
def test_an_answer_means_something_to_one_objective(
    route: str, status: int, expected: Outcome | None
) -> None:
    assert outcome_of(route, "POST", status) == expected
    assert outcome_of(route, "GET", status) is None


def _counted(database_url: str) -> dict[tuple[str, str], int]:
    found = rows(database_url, "SELECT outcome, kind, sum(n)::int FROM rollup_minute GROUP BY 1, 2")
    return {(outcome, kind): n for outcome, kind, n in found}


async def test_what_is_counted_is_written_while_it_runs_and_at_its_end(
    make_settings: Any,  # noqa: ANN401 - a fixture
    database_url: str,
) -> None:
    settings: Settings = make_settings(database_url)

    async def opened() -> Connection:
        return await connect(settings.require_database(), Role.GATEWAY, application="tests")

    tally = Tally(OutcomeCounter(new_registry(), "events", "webhooks"))
    async with tally.written(opened):
        for _ in range(3):
            tally.add(_EVENTS)
        tally.add(Outcome("webhooks", "forged", "twilio"))
    assert _counted(database_url) == {
        ("accepted", ""): 3,
        ("alive", ""): 1,
        ("forged", "twilio"): 1,
    }


async def test_what_could_not_be_written_is_kept(
    make_settings: Any,  # noqa: ANN401 - a fixture
    database_url: str,
) -> None:
    settings: Settings = make_settings(database_url)
    away = True

    async def opened() -> Connection:
        url = "postgresql://127.0.0.1:9/nobody" if away else settings.require_database()
        return await connect(url, Role.GATEWAY, application="tests")

    tally = Tally(OutcomeCounter(new_registry(), "events", "webhooks"))
    async with tally.written(opened):
        tally.add(_EVENTS)
    assert _counted(database_url) == {}
    away = False
    await tally._write(opened)
    assert _counted(database_url)["accepted", ""] == 1
