"""How things stand at this moment, in the measures that the conditions are about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from observability.slos import definitions
from outbox.domain import canaries
from outbox.domain.ids import SHARDS, day_floor, shard_of
from outbox.domain.states import Lane
from outbox.store.connect import TRANSACTION_TIMEOUT_S
from outbox.store.sql import statement

_PROVIDERS = ("twilio", "twilio_inbound", "stripe", "app")
_REFUSING = ("twilio", "fcm", "stripe")


class Reading(Struct, frozen=True):
    """One measure."""

    measure: str
    label: str
    """Value of the measure's label; empty when it has none."""
    value: float


def query() -> tuple[bytes, Mapping[str, object]]:
    """The statement and its values, for whatever kind of connection; rows fit `Reading`."""
    slos = definitions().slo
    return statement("pulse"), {
        "shards": list(range(SHARDS)),
        "canary": canaries.SUBJECT,
        "canary_shard": shard_of(canaries.SUBJECT),
        "low_id": day_floor(datetime.now(UTC) - timedelta(days=1)),
        "providers": list(_PROVIDERS),
        "refusing": list(_REFUSING),
        "lanes": [lane.name.lower() for lane in Lane],
        "slos": list(slos),
        "after_s": [slo.counted_after_s for slo in slos.values()],
        "margin_s": TRANSACTION_TIMEOUT_S + 5,
    }
