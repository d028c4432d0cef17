"""Judges what people were told about billing: what they read, against what is true at Stripe.

By what the providers accepted, by Stripe's events and by the town's diary; no code and no row of
ours says here what is due.
"""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from msgspec import Struct

from tests.faults.billing_people import Person, Town
from tests.faults.billing_truth import Truth

DAY_S = 86_400
_GRACE_S = 14 * DAY_S
_UNSAID_S = 15 * 60
"""So long after a failure its reason may not be known yet."""

_FAILED = {
    "later": "A payment did not go through",
    "bank": "Your bank refused a payment",
    "confirm": "Please confirm a payment",
    "card": "Your card did not work",
}
_ADVICE = {
    "generic_decline": "later",
    "insufficient_funds": "later",
    "do_not_honor": "bank",
    "lost_card": "card",
    "authentication_required": "confirm",
}
"""What somebody can do, for the cards of the town."""
_OPEN_DISPUTE = {
    *("needs_response", "under_review", "warning_needs_response", "warning_under_review"),
}


class Saying(Struct, frozen=True):
    """Something to be told once."""

    account: str
    what: str
    period: str


Pushes = Callable[[datetime | None], list[dict[str, Any]]]
"""Those that were accepted since a time."""
Sayings = dict[Saying, set[str]]
"""With the texts that would say it."""


def accepted(simulators: str, since: datetime | None) -> list[dict[str, Any]]:
    """Lines of the ledger about pushes, oldest first; ``since``: inclusive."""
    query = {"provider": "fcm"} | ({} if since is None else {"since": since.isoformat()})
    url = f"{simulators}/_sim/ledger?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        return [json.loads(line) for line in answer]


class Told:
    """Keeps who was told what."""

    def __init__(self, town: Town, *, pushes: Pushes | None = None) -> None:
        """Nobody was told anything; ``pushes``: other than those of the town's simulators."""
        self._town = town
        self._pushes = pushes or partial(accepted, town.stack.simulators)
        self.truth = Truth(town.stripe)
        self._people = {each.id: each for each in town.people}
        self._said: set[Saying] = set()
        self._seen: set[Saying] = set()
        """What was true when somebody looked last."""
        self._entries: set[str] = set()
        self._references: set[str] = set()
        self._read_from: datetime | None = None
        self._before: Sayings = {}
        self.count: Counter[str] = Counter()
        self.again = 0
        """Pushed twice by relays that died between the push and its mark."""

    def look(self, now: float) -> None:
        """What is true before anybody is told."""
        self.truth.read()
        self._before = dict(self._due(now))

    def judge(self, now: float, *, killed: bool) -> Iterator[str]:
        """What is wrong with what was told since `look`."""
        self.truth.read()
        after = dict(self._due(now))
        owed = {each for each in self._before if each in after and self._must(each, now)}
        open_: dict[str, list[Saying]] = defaultdict(list)
        texts = {**self._before, **after}
        for each in texts:
            if each not in self._said:
                # What has to be told is told first.
                open_[each.account].insert(0 if each in owed else len(texts), each)
        for account, title, text, reference in self._new():
            if reference in self._references:
                self.again += 1
                if not killed:
                    yield f"{account}: twice by one notification: {text}"
                continue
            self._references.add(reference)
            match = next((each for each in open_[account] if title in texts[each]), None)
            if match is None:
                yield (
                    f"{account}: untrue, or told before: {text}; true is {self._of(account, now)};"
                    f" {self._standing(account)}"
                )
                continue
            open_[account].remove(match)
            self._said.add(match)
            self.count[match.what] += 1
        self._seen = set(after)
        for each in owed - self._said:
            yield f"{each.account}: was not told {each.what} of {each.period}"

    def _new(self) -> Iterator[tuple[str, str, str, str]]:
        """Account, title, text and our name of each push since the last time."""
        for each in self._pushes(self._read_from):
            account = each["to"].removeprefix("device-")
            at = datetime.fromisoformat(each["accepted_at"])
            self._read_from = at if self._read_from is None else max(self._read_from, at)
            if each["id"] not in self._entries and account in self._people and each["text"]:
                self._entries.add(each["id"])
                title = each["text"].partition(":")[0]
                yield account, title, each["text"], each["reference"]

    def _of(self, account: str, now: float) -> list[tuple[str, str]]:
        true = [each for each, _ in self._due(now) if each.account == account]
        return [(each.what, each.period) for each in true]

    def _standing(self, account: str) -> str:
        """What somebody needs to understand it."""
        one = self._people[account]
        objects = {
            kind: [
                (name, each.get("status"), stamp(each.get("created", 0)))
                for name, each in self.truth.of(kind, account).items()
            ]
            for kind in ("subscription", "invoice", "dispute", "refund")
        }
        said = sorted((each.what, each.period) for each in self._said if each.account == account)
        return f"{one.role}, member since {one.member_at}; {objects}; was told {said}"

    def _must(self, one: Saying, now: float) -> bool:
        if one.what == "payment failed":
            # A failure without a reason is told in general when there was time to ask for it.
            is_new = self.truth.failed[one.period] > now - _UNSAID_S
            unexplained = not self.truth.declined[one.period] and one not in self._seen
            if is_new or unexplained:
                return False
        return one not in self._said

    def _due(self, now: float) -> Iterator[tuple[Saying, set[str]]]:
        for each in self._town.people:
            if each.opened and each.role == "contact" and each.member_at is None:
                for what, period, texts in self._about(each, now):
                    yield Saying(each.id, what, period), texts

    def _about(self, one: Person, now: float) -> Iterator[tuple[str, str, set[str]]]:
        subscriptions = self.truth.of("subscription", one.id)
        for name, each in subscriptions.items():
            left = (each["trial_end"] or 0) - now
            goes_on = each["status"] == "trialing" and not each["cancel_at_period_end"]
            if goes_on and one.wants and 0 < left <= 7 * DAY_S:
                days = next(days for days in (1, 3, 7) if left <= days * DAY_S)
                yield f"trial {days}", f"{name} {each['trial_end']}", {"Your free trial ends soon"}
        yield from self._unpaid(one, subscriptions, now)
        for name, each in self.truth.of("dispute", one.id).items():
            if each["status"] in _OPEN_DISPUTE and each["created"] > now - 30 * DAY_S:
                yield "disputed", name, {"A payment is disputed"}
        for name, each in self.truth.of("refund", one.id).items():
            if each["status"] == "succeeded" and each["created"] > now - 7 * DAY_S:
                yield "refunded", name, {"We gave a payment back"}
        yield from self._resumed(one, subscriptions, now)

    def _unpaid(
        self, one: Person, subscriptions: dict[str, dict[str, Any]], now: float
    ) -> Iterator[tuple[str, str, set[str]]]:
        failed = self.truth.failed
        unpaid = {
            name: failed[name] + _GRACE_S
            for name, each in self.truth.of("invoice", one.id).items()
            if each["status"] in {"open", "uncollectible"} and name in failed
        }
        for name, until in unpaid.items():
            parent = self.truth.of("invoice", one.id)[name]["parent"]
            status = subscriptions[parent["subscription_details"]["subscription"]]["status"]
            if status not in {"past_due", "unpaid", "incomplete"} or now >= until:
                continue
            advice = {_ADVICE[why] for why in self.truth.declined[name]} or {"card"}
            yield "payment failed", name, {_FAILED[each] for each in advice}
            if until - now <= 3 * DAY_S and until == min(unpaid.values()):
                yield "access ending", name, {"Your access ends soon"}

    def _resumed(
        self, one: Person, subscriptions: dict[str, dict[str, Any]], now: float
    ) -> Iterator[tuple[str, str, set[str]]]:
        texts = {"Your subscription goes on"}
        live = {
            name: each["status"]
            for name, each in subscriptions.items()
            if each["status"] in {"active", "trialing"} and not each["cancel_at_period_end"]
        }
        # The newest word is what is answered.
        if one.wants and one.resumed_at and one.resumed_at[-1] > now - 3 * DAY_S and live:
            yield "resumed", f"word {one.resumed_at[-1]}", texts
        for name, event in self.truth.resumed[one.id].items():
            at = event["created"]
            asked = any(at - DAY_S <= word <= at + 3600 for word in one.resumed_at)
            going = live.get(event["data"]["object"]["id"]) == "active"
            if going and not asked and at > now - 3 * DAY_S:
                yield "resumed", name, texts


def stamp(now: float) -> str:
    """For a reader."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="minutes")
