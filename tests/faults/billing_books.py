"""Judges a town's billing by Stripe's own lists and its ledger; reads no code of ours for it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Any

from tests.faults.billing_people import Person, Stripe, Town
from tests.faults.stack import Stack

PRICE = 299
LEAST = 50
"""Stripe charges no less: what is below it is added to the next invoice."""
_OVER = frozenset({"canceled", "incomplete_expired"})
_SLACK_S = 300
"""Between somebody's word and what is done of it, by the moved clock."""
_WHOLE_S = 20 * 86_400

DAILY = {
    "free and subscribed": "SELECT a.id FROM account a JOIN subscription s USING (shard)"
    " WHERE s.account = a.id AND a.member_at IS NOT NULL"
    " AND s.status NOT IN ('canceled', 'incomplete_expired')",
    "two subscriptions": "SELECT account FROM subscription"
    " WHERE status NOT IN ('canceled', 'incomplete_expired') GROUP BY 1 HAVING count(*) > 1",
    "beyond the price": f"SELECT account FROM invoice WHERE paid >= {PRICE + LEAST}",
    "ended by wish, and goes on": "SELECT a.id FROM account a JOIN subscription s USING (shard)"
    " WHERE s.account = a.id AND s.status NOT IN ('canceled', 'incomplete_expired')"
    " AND (a.wish = 'ended' OR a.wish = 'ending' AND NOT s.cancel_at_period_end)",
    "waits for a person": "SELECT concat_ws(' ', n.id, n.kind, n.reason,"
    " (SELECT string_agg(concat_ws(' ', t.code, t.detail), ', ' ORDER BY t.at) FROM attempt t"
    " WHERE t.notification = n.id)) FROM notification n WHERE n.state = 'parked'",
}
"""What must never be found in our own rows when all that was said is carried out."""


def broken(query: Callable[[str], list[tuple[Any, ...]]]) -> dict[str, list[str]]:
    """By rule, who breaks it now."""
    found = {why: [row[0] for row in query(sql)] for why, sql in DAILY.items()}
    return {why: rows for why, rows in found.items() if rows}


class Books:
    """Everything at Stripe at the end."""

    def __init__(self, town: Town) -> None:
        """Reads all of it."""
        stripe: Stripe = town.stripe
        self.people = {each.id: each for each in town.people}
        self.owner: dict[str, str] = {}
        for customer in stripe.every("customers"):
            self.owner[customer["id"]] = customer["metadata"]["pruuf_account"]
        self.subscriptions: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for one in stripe.every("subscriptions", status="all"):
            self.subscriptions[self.owner[one["customer"]]].append(one)
        self.invoices = {each["id"]: each for each in stripe.every("invoices")}
        self.charges: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for charge in stripe.control("stripe/sums")["charges"]:
            self.charges[self.owner[charge["customer"]]].append(charge)
        self.ended = {
            each["id"]: each["ended_at"]
            for found in self.subscriptions.values()
            for each in found
            if each["ended_at"]
        }

    def wrongly_charged(self) -> Iterator[str]:
        """Charges of those who are free, beyond the price, or for a time that was paid before."""
        for account, charges in self.charges.items():
            member_at = self.people[account].member_at
            paid_until, before = 0, None
            for each in sorted(charges, key=lambda charge: (charge["from"], charge["at"])):
                if member_at is not None and each["at"] > member_at + _SLACK_S:
                    yield f"{account} is free since {member_at}, and was charged: {each}"
                carried = max(self.invoices[each["invoice"]]["starting_balance"], 0)
                if carried >= LEAST or not 0 < each["amount"] <= PRICE + carried:
                    yield f"{account}: not the price: {each}"
                if each["from"] < paid_until:
                    yield f"{account}: charged twice for a time: {before} and {each}"
                ended = self.ended.get(each["subscription"], each["until"])
                if each["until"] - each["from"] > _WHOLE_S:
                    paid_until, before = min(each["until"], ended), each

    def differences(self, stack: Stack) -> Iterator[str]:
        """Where our answers or our rows say something else than Stripe."""
        for account, person in self.people.items():
            shown = account_of(stack, account)
            if shown is None:
                yield f"{account} is not known to us"
                continue
            yield from self._subscription(account, shown)
            yield from _entitlement(person, shown)
        ours = {row[0]: row[1:] for row in stack.query("SELECT id, status, paid FROM invoice")}
        for name, each in self.invoices.items():
            if ours.get(name) != (each["status"], each["amount_paid"]):
                theirs = (each["status"], each["amount_paid"])
                account = self.owner[each["customer"]]
                yield f"{account}: invoice {name}: {ours.get(name)}, Stripe {theirs}"

    def _subscription(self, account: str, shown: dict[str, Any]) -> Iterator[str]:
        found = self.subscriptions[account]
        live = [each for each in found if each["status"] not in _OVER]
        if len(live) > 1:
            yield f"{account}: {len(live)} subscriptions at Stripe"
        newest = max(live or found, key=lambda each: each["created"], default=None)
        ours = shown["subscription"]
        if newest is None or ours is None:
            if newest is not None or ours is not None:
                yield f"{account}: we say {ours}, Stripe {newest}"
            return
        theirs = {
            "id": newest["id"],
            "status": newest["status"],
            "trial_end": newest["trial_end"],
            "current_period_end": newest["items"]["data"][0]["current_period_end"],
            "cancel_at_period_end": newest["cancel_at_period_end"],
        }
        said = {
            **ours,
            **{name: _stamp(ours[name]) for name in ("trial_end", "current_period_end")},
        }
        if said != theirs:
            yield f"{account}: we say {said}, Stripe {theirs}"


_ENTITLED = {
    "trialing": {"trialing"},
    "active": {"active"},
    "past_due": {"grace", "lapsed"},
    "paused": {"lapsed"},
    "incomplete": {"lapsed"},
    "incomplete_expired": {"lapsed"},
    "canceled": {"lapsed", "grace"},
}


def _entitlement(person: Person, shown: dict[str, Any]) -> Iterator[str]:
    if person.role == "member":
        expected = {"member_free"}
    elif person.member_at is not None:
        expected = {"grandfathered"}
    elif shown["subscription"] is None:
        # Whoever asked at once that it end was given none.
        expected = {"lapsed"}
    else:
        expected = _ENTITLED[shown["subscription"]["status"]]
    if shown["entitlement"] not in expected:
        yield f"{person.id}: {shown['entitlement']} ({shown['reason']}), not one of {expected}"


def _stamp(value: str | None) -> int | None:
    return None if value is None else int(datetime.fromisoformat(value).timestamp())


def account_of(stack: Stack, account: str) -> dict[str, Any] | None:
    """As our API shows it; null: it knows none."""
    request = urllib.request.Request(
        f"{stack.gateway}/v1/accounts/{account}", headers={"Authorization": f"Bearer {stack.key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        return None
    return found


def history(stack: Stack, account: str) -> list[str]:
    """What is recorded of an account, for whoever has to find out what went wrong."""
    facts = stack.query(
        "SELECT concat_ws(' ', stored_at, at, type, result, object, why) FROM billing_event"
        f" WHERE account = '{account}' ORDER BY stored_at"
    )
    commands = stack.query(
        "SELECT concat_ws(' ', t.at, n.kind, n.state, n.reason, t.result, t.code, t.detail)"
        " FROM billing_event b JOIN notification n ON n.id = b.notification"
        f" JOIN attempt t ON t.notification = n.id WHERE b.account = '{account}' ORDER BY t.at"
    )
    return [f"{account}: {row[0]}" for row in (*facts, *commands)]
