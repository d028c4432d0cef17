"""What is true at Stripe about everybody's billing, followed by its own list of events."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.faults.billing_people import Stripe

_PAGE = 100


class Truth:
    """Objects as Stripe last told them, by account."""

    def __init__(self, stripe: Stripe) -> None:
        """Nothing is read yet."""
        self._stripe = stripe
        self._last: str | None = None
        self._owner: dict[str, str] = {}
        self._payments: dict[str, str] = {}
        self._kept: dict[str, dict[str, dict[str, dict[str, Any]]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self.failed: dict[str, int] = {}
        """By invoice: when paying it failed for the first time."""
        self.declined: dict[str, set[str]] = defaultdict(set)
        """By invoice: why banks refused it."""
        self.resumed: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        """By account: events that say that a subscription goes on."""

    def of(self, kind: str, account: str) -> dict[str, dict[str, Any]]:
        """An account's objects of a kind by their ids."""
        return self._kept[kind][account]

    def read(self) -> None:
        """Everything that happened since the last time, in its order."""
        more = True
        while more:
            if self._last is None:
                rows, more = list(self._stripe.every("events")), False
            else:
                page = self._stripe.call("events", limit=_PAGE, ending_before=self._last)
                rows, more = page["data"], page["has_more"]
            for event in reversed(rows):
                self._take(event)
            if rows:
                self._last = rows[0]["id"]

    def _take(self, event: dict[str, Any]) -> None:
        told, kind = event["data"]["object"], event["type"]
        match told["object"]:
            case "customer":
                self._owner[told["id"]] = told["metadata"]["pruuf_account"]
            case "subscription" | "invoice":
                self._keep(told["object"], told["customer"], told)
            case "dispute" | "refund":
                self._keep(told["object"], self._payments[told["charge"]], told)
            case "charge":
                self._payments[told["id"]] = told["customer"]
        self._happened(kind, event, told)

    def _happened(self, kind: str, event: dict[str, Any], told: dict[str, Any]) -> None:
        if kind == "invoice.payment_failed":
            self.failed.setdefault(told["id"], event["created"])
        elif kind == "customer.subscription.resumed":
            self.resumed[self._owner[told["customer"]]][event["id"]] = event
        elif kind == "charge.failed":
            # A charge does not name its invoice: of somebody with several open ones it is any.
            for invoice in self.of("invoice", self._owner[told["customer"]]).values():
                if invoice["status"] == "open":
                    self.declined[invoice["id"]].add(told["outcome"]["reason"])
        elif kind == "invoice.payment_action_required":
            self.declined[told["id"]].add("authentication_required")

    def _keep(self, kind: str, customer: str, told: dict[str, Any]) -> None:
        self._kept[kind][self._owner[customer]][told["id"]] = told
