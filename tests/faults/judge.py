"""The providers' own ledger against our database: what is lost, doubled, or nobody's.

Of what goes to Stripe its own objects tell more than the ledger: see the books of billing.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections import Counter, defaultdict
from typing import Any

from msgspec import Struct

from outbox.domain.content import short_reference
from tests.faults.stack import Stack

_STEPS = 4
_REFERENCE = re.compile(r"([0-9A-Z]{8})$")


class Verdict(Struct, frozen=True, kw_only=True):
    """What the ledger says of the database, and the other way round."""

    states: dict[str, int]
    accepted: int
    """Requests that the providers accepted."""
    lost: list[str]
    """Delivered by our word, and not in the ledger; or never in any final state."""
    foreign: list[str]
    """In the ledger, and nobody's here."""
    withdrawn: list[str]
    """Cancelled by our word, and in the ledger all the same."""
    unknown_here: list[str]
    """Our attempts name a message that the ledger does not have."""
    doubled: dict[str, dict[str, int]]
    """By provider and kind: texts, or pushes, beyond the first of one step."""

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.accepted} accepted by providers, states {self.states}, lost {len(self.lost)},"
            f" foreign {len(self.foreign)}, sent though withdrawn {len(self.withdrawn)},"
            f" doubled {self.doubled or 0}"
        )

    def agrees(self) -> bool:
        """Whether ledger and database tell the same story; doubled ones are judged apart."""
        return not (self.lost or self.foreign or self.withdrawn or self.unknown_here)


def entries_of(stack: Stack) -> list[dict[str, Any]]:
    """The ledger, whole."""
    with urllib.request.urlopen(f"{stack.simulators}/_sim/ledger", timeout=120) as answer:
        return [json.loads(line) for line in answer]


def judge(stack: Stack) -> Verdict:
    """Compare both, entry by entry."""
    notifications = stack.query("SELECT id, kind, state, channel FROM notification")
    kinds = {str(row[0]): row[1] for row in notifications}
    by_reference = {
        short_reference(row[0], step): (str(row[0]), step)
        for row in notifications
        for step in range(_STEPS)
    }
    ledger = entries_of(stack)
    texts: Counter[tuple[str, int]] = Counter()
    pushes: Counter[tuple[str, str]] = Counter()
    pages: Counter[str] = Counter()
    foreign: list[str] = []
    for entry in ledger:
        if entry["provider"] == "stripe":
            continue
        if entry["provider"] == "twilio":
            found = _REFERENCE.search(entry["text"])
            owner = by_reference.get(found[1]) if found else None
            if owner is None:
                foreign.append(entry["id"])
            else:
                texts[owner] += 1
        elif entry["reference"] not in kinds:
            foreign.append(entry["id"])
        elif entry["provider"] == "fcm":
            pushes[entry["reference"], entry["to"]] += 1
        else:
            pages[entry["reference"]] += 1
    told = [row for row in notifications if not row[1].startswith("billing.")]
    reached = {notification for notification, _ in texts} | {n for n, _ in pushes} | set(pages)
    known = {str(entry["id"]) for entry in ledger}
    named = stack.query(
        "SELECT DISTINCT provider_id FROM attempt"
        " WHERE provider_id IS NOT NULL AND provider <> 'stripe'"
    )
    return Verdict(
        states=dict(Counter(row[2] for row in notifications)),
        accepted=len(ledger),
        lost=[str(n) for n, _, state, _ in told if _is_lost(str(n), state, reached)],
        foreign=foreign,
        withdrawn=[str(n) for n, _, state, _ in told if _is_sent(str(n), state, reached)],
        unknown_here=[row[0] for row in named if row[0] not in known],
        doubled=_doubled(texts, pushes, kinds),
    )


def _is_lost(notification: str, state: str, reached: set[str]) -> bool:
    return state == "open" or (state == "delivered" and notification not in reached)


def _is_sent(notification: str, state: str, reached: set[str]) -> bool:
    return state == "cancelled" and notification in reached


def _doubled(
    texts: Counter[tuple[str, int]],
    pushes: Counter[tuple[str, str]],
    kinds: dict[str, str],
) -> dict[str, dict[str, int]]:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (notification, _), times in texts.items():
        found["twilio"][kinds[notification]] += times - 1
    for (notification, _), times in pushes.items():
        found["fcm"][kinds[notification]] += times - 1
    return {provider: dict(counted) for provider, each in found.items() if (counted := +each)}
