"""Accounts that live at random: what the backend says of them, what they, their banks and the
dashboard do at Stripe, and a diary of it, which knows nothing of what becomes of it.
"""

from __future__ import annotations

import json
import random
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from outbox.simulators.credentials import STRIPE_KEY
from tests.faults.stack import Stack

CARDS = (
    *("good",) * 12,
    *("pm_card_chargeCustomerFail", "pm_card_authenticationRequired", "pm_card_createDispute"),
    *("pm_card_pendingRefund", "pm_card_sim_insufficient_funds", "pm_card_sim_lost_card_after_1"),
    *("pm_card_sim_insufficient_funds_after_1", "pm_card_sim_do_not_honor_after_2"),
)
"""What becomes of their cards: most are good."""
_APP_STARTS_EVERY = 90
"""Days."""


class Person(Struct, kw_only=True):
    """One account and its diary."""

    id: str
    opens_on: int
    role: str
    member_at: float | None = None
    """By the moved clock, when it was first said to be a Member; null: never."""
    opened: bool = False
    wants: bool = True
    resumed_at: list[float] = []
    """By the moved clock, when the backend said that it goes on."""
    cards: list[str] = []


class Stripe:
    """Stripe as those use it who are not us: cardholders, banks, the dashboard."""

    def __init__(self, base: str, *, key: str = STRIPE_KEY) -> None:
        self.base = base
        self._key = key

    def call(self, path: str, form: dict[str, Any] | None = None, **query: Any) -> Any:  # noqa: ANN401 - JSON
        """A call of the API: read, or with a form changed."""
        url = f"{self.base}/v1/{path}?{urllib.parse.urlencode(query)}"
        body = None if form is None else urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(
            url, data=body, headers={"Authorization": f"Bearer {self._key}"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def every(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
        """All of a list, page by page."""
        more: dict[str, Any] = {}
        while True:
            page = self.call(path, limit=100, **query, **more)
            yield from page["data"]
            if not page["has_more"]:
                return
            more = {"starting_after": page["data"][-1]["id"]}

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """What is no part of the API."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/_sim/{path}", data=data)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def customer(self, account: str) -> str | None:
        """The customer of an account, as Stripe knows it."""
        query = f"metadata['pruuf_account']:'{account}'"
        found = self.call("customers/search", query=query)["data"]
        return found[0]["id"] if found else None

    def card(self, becomes: str) -> str:
        """A payment method, as the app gets one from Stripe."""
        made: str = self.call("payment_methods", {"type": "card", "card[token]": "tok_visa"})["id"]
        if becomes != "good":
            self.control("stripe/cards", {"payment_method": made, "becomes": becomes})
        return made


class Town:
    """All of them, day by day."""

    def __init__(
        self,
        stack: Stack,
        chance: random.Random,
        *,
        people: int,
        days: int,
        opening: Sequence[int] | None = None,
    ) -> None:
        """``days``: on so many of them they live; on some of the first ones accounts are opened."""
        self.stack, self._chance = stack, chance
        self.stripe = Stripe(stack.simulators)
        self.did: Counter[str] = Counter()
        self._disputes: list[str] = []
        self._events = 0
        # In few days as much happens as in many.
        self._pace = 365 / days
        opening = range(days // 3) if opening is None else opening
        self.people = [
            Person(
                id=f"a{n}",
                opens_on=chance.choice(opening),
                role="member" if chance.random() < 0.15 else "contact",
            )
            for n in range(people)
        ]

    def live(self, day: int, now: float) -> None:
        """What they do on one day; returns when the gateway has taken all of it."""
        # Of earlier days: no bank decides in the second in which it was asked.
        for each in list(self._disputes):
            if self._happens(0.05):
                self._disputes.remove(each)
                won = self._chance.random() < 0.5
                self.did[f"dispute {'won' if won else 'lost'}"] += 1
                self.stripe.control("stripe/disputes", {"dispute": each, "won": won})
        said = [event for each in self.people for event in self._day(each, day, now)]
        for start in range(0, len(said), 500):
            self._post(said[start : start + 500])

    def _happens(self, a_day: float) -> bool:
        return self._chance.random() < a_day * self._pace

    def _day(self, one: Person, day: int, now: float) -> Iterator[dict[str, Any]]:
        if day < one.opens_on:
            return
        if (day - one.opens_on) % _APP_STARTS_EVERY == 0:
            self._start_app(one)
        if day == one.opens_on:
            one.opened = True
            if one.role == "member":
                one.member_at = now
            account = {"id": one.id, "email": f"{one.id}@example.com", "role": one.role}
            yield self._say("account_opened", one, account=account)
        elif one.role == "member":
            if self._happens(0.01):
                one.role = "contact"
                yield self._role(one)
        elif self._happens(0.0005):
            one.role = "member"
            one.member_at = now if one.member_at is None else one.member_at
            yield self._role(one)
        else:
            yield from self._contact(one, now)

    def _start_app(self, one: Person) -> None:
        """The app tells where it can be reached, as it does now and then."""
        if not one.opened:
            self._put(f"recipients/{one.id}", {})
        device = {"token": f"device-{one.id}", "address_kind": "token", "platform": "ios"}
        self._put(f"recipients/{one.id}/devices/phone", device)

    def _contact(self, one: Person, now: float) -> Iterator[dict[str, Any]]:
        if self._happens(0.004 if one.cards else 0.03):
            one.cards.append(self.stripe.card(self._chance.choice(CARDS)))
            yield self._say("payment_method_added", one, payment_method=one.cards[-1])
        if one.wants and self._happens(0.004):
            one.wants = False
            when = self._chance.choice(("period_end", "period_end", "now"))
            yield self._say("subscription_cancelled", one, when=when)
        elif not one.wants and self._happens(0.02):
            one.wants = True
            one.resumed_at.append(now)
            yield self._say("subscription_resumed", one)
        if one.cards and self._happens(0.001):
            removed = one.cards.pop(self._chance.randrange(len(one.cards)))
            yield self._say("payment_method_removed", one, payment_method=removed)
        if one.cards and self._happens(0.003):
            self._at_stripe(one)

    def _at_stripe(self, one: Person) -> None:
        """Something that the dashboard or a bank does to what was paid."""
        customer = self.stripe.customer(one.id)
        if customer is None:
            return
        charges = self.stripe.call("charges", customer=customer, limit=1)["data"]
        if not charges or not charges[0]["paid"] or charges[0]["amount_refunded"]:
            return
        if charges[0]["disputed"]:
            return
        if self._chance.random() < 0.5:
            self.did["refund"] += 1
            amount = self._chance.choice((100, charges[0]["amount"]))
            amount = min(amount, charges[0]["amount"])
            self.stripe.call("refunds", {"charge": charges[0]["id"], "amount": amount})
        else:
            self.did["dispute"] += 1
            made = self.stripe.control("stripe/disputes", {"charge": charges[0]["id"]})
            self._disputes.append(made["id"])

    def _role(self, one: Person) -> dict[str, Any]:
        return self._say("role_changed", one, account={"id": one.id, "role": one.role})

    def _say(self, kind: str, one: Person, **data: object) -> dict[str, Any]:
        self._events += 1
        self.did[kind] += 1
        return {
            "specversion": "1.0",
            "id": f"e{self._events}",
            "source": "town",
            "type": f"billing.{kind}",
            "subject": one.id,
            "data": {"account": {"id": one.id}, **data},
        }

    def _post(self, events: list[dict[str, Any]]) -> None:
        self._call("POST", "events", events, "application/cloudevents-batch+json")

    def _put(self, path: str, body: dict[str, Any]) -> None:
        self._call("PUT", path, body, "application/json")

    def _call(self, method: str, path: str, body: object, kind: str) -> None:
        request = urllib.request.Request(
            f"{self.stack.gateway}/v1/{path}",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.stack.key}", "Content-Type": kind},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()
