"""Accounts that come by a given crash point of billing, and the judge of what is left behind."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import psycopg

from gateway.cli.supervisor import Process
from tests.faults.billing_books import Books, account_of
from tests.faults.billing_people import Person, Stripe, Town
from tests.faults.stack import Stack, wait_for
from tests.faults.victims import ask, let_pass

RETRY_S = 301
"""After so long Stripe tries a webhook again that was not taken."""

_LEFT = (
    "SELECT n.kind, n.subject, n.reason, d.due_at - now(), d.owner, d.work, d.attempt, d.asked"
    " FROM due d JOIN notification n ON n.shard = d.shard AND n.id = d.notification"
    " UNION ALL SELECT 'inbox', said, note, now() - received_at, NULL, NULL, NULL, NULL FROM inbox"
    " WHERE done_at IS NULL"
)
_COMMANDS = "notification NOT IN (SELECT id FROM notification WHERE kind LIKE 'billing.notice.%')"
"""Notices wait for the morning."""


class Accounts:
    """Accounts of one test, at us and at Stripe."""

    def __init__(self, stack: Stack, gateway: Process) -> None:
        """Gateway and simulators run; Stripe's clock may go ahead of ours."""
        self.stack = stack
        self.gateway = gateway
        self.stripe = Stripe(stack.simulators)
        self.stripe.control("stripe/settings", {"signatures": "wall"})
        self.people: list[Person] = []
        self._said = 0

    def say(self, kind: str, about: str, **data: object) -> None:
        """The backend tells something of an account."""
        self._said += 1
        event = {
            "specversion": "1.0",
            "id": f"e{self._said}",
            "source": "backend",
            "type": f"billing.{kind}",
            "subject": about,
            "data": {"account": {"id": about}, **data},
        }
        ask(self.stack, "POST", "/v1/events", event)

    def open(self, account: str) -> None:
        """A Contact's account."""
        self.people.append(Person(id=account, opens_on=0, role="contact"))
        shown = {"id": account, "email": f"{account}@example.com", "role": "contact"}
        self.say("account_opened", account, account=shown)

    def free(self, account: str) -> None:
        """A Contact becomes a Member."""
        person = next(each for each in self.people if each.id == account)
        person.role, person.member_at = "member", self.stripe.control("clock")["now"]
        self.say("role_changed", account, account={"id": account, "role": "member"})

    def card(self, account: str, becomes: str = "good") -> None:
        """A card is added."""
        self.say("payment_method_added", account, payment_method=self.stripe.card(becomes))

    def subscription(self, account: str) -> str:
        """Stripe's name of an account's subscription, as we know it."""
        shown = account_of(self.stack, account)
        assert shown is not None, account
        name: str = shown["subscription"]["id"]
        return name

    def end_with_period(self, account: str) -> str:
        """Somebody at Stripe's dashboard says that it ends with its period; the event's name."""
        name = self.subscription(account)
        self.stripe.call(f"subscriptions/{name}", {"cancel_at_period_end": "true"})
        told = self.stripe.call("events", type="customer.subscription.updated", limit=100)["data"]
        event: str = next(each["id"] for each in told if each["data"]["object"]["id"] == name)
        return event

    def thin(self, account: str) -> None:
        """Stripe tells that something is new, and not what."""
        about = {"about": self.subscription(account), "kind": "subscription"}
        self.stripe.control("stripe/events", {"thin": "v1.customer.subscription.updated", **about})

    def subscribe_again(self, account: str) -> None:
        """Somebody at Stripe's dashboard makes another subscription of an account."""
        customer = self.stripe.customer(account)
        price = self.stack.environ["STRIPE_PRICE_ID"]
        made = {"customer": customer, "items[0][price]": price, "trial_period_days": 30}
        self.stripe.call("subscriptions", {**made, "metadata[pruuf_account]": account})

    def let_read(self) -> None:
        """It is time to read Stripe's list, whoever was at it."""
        self._cursor("UPDATE billing_cursor SET read_at = NULL, lease_until = '-infinity'")

    def read_the_list(self) -> None:
        """Let a relay read all of Stripe's list."""
        self.let_read()
        read = "SELECT read_at IS NOT NULL AND page IS NULL FROM billing_cursor"
        wait_for(
            lambda: bool(self.stack.query(f"{read} WHERE name = 'events'")[0][0]),
            within_s=30,
            what="Stripe's list is read",
        )

    def _cursor(self, update: str) -> None:
        with psycopg.connect(self.stack.database_url, autocommit=True) as connection:
            connection.execute(f"{update} WHERE name = 'events'".encode())

    def days(self, number: int) -> None:
        """Time passes at Stripe."""
        self.stripe.control("clock", {"advance_days": number})

    def rest(self, *, within_s: float = 60.0) -> None:
        """Wait until all that was said and told is carried out."""

        def rests() -> bool:
            let_pass(self.stack, f"due_at < 'infinity' AND owner IS NULL AND {_COMMANDS}")
            ((inbox, due),) = self.stack.query(
                "SELECT (SELECT count(*) FROM inbox WHERE done_at IS NULL),"
                f" (SELECT count(*) FROM due WHERE due_at < 'infinity' AND {_COMMANDS})"
            )
            return not inbox and not due

        try:
            wait_for(rests, within_s=within_s, what="all webhooks and commands carried out")
        except AssertionError:
            for row in self.stack.query(_LEFT):
                print(*row)
            raise

    def took(self, events: Iterable[str]) -> bool:
        """Whether we have answered all of these with a 2xx."""
        told = (self.stripe.call(f"events/{each}") for each in events)
        return not any(each["pending_webhooks"] for each in told)

    def wrong(self) -> list[str]:
        """Whatever is not in agreement, or was done twice, by Stripe's own lists and ledger."""
        town = Town(self.stack, random.Random(0), people=0, days=3)
        town.people = self.people
        books = Books(town)
        return [
            *books.wrongly_charged(),
            *books.differences(self.stack),
            *self._customers(books.owner.values()),
            *self._unkeyed(),
            *self._untold(),
        ]

    def _customers(self, owners: Iterable[str]) -> Iterable[str]:
        for account, times in Counter(owners).items():
            if times > 1:
                yield f"{account}: {times} customers"

    def _unkeyed(self) -> Iterable[str]:
        """Changes of ours without a key of their notification, or two for one key."""
        known = {str(row[0]) for row in self.stack.query("SELECT id FROM notification")}
        keys: Counter[str] = Counter()
        for entry in self.stack.entries("stripe"):
            key = entry["reference"]
            keys[key] += key.partition(":")[0] in known
        yield from (f"{key}: carried out {n} times" for key, n in keys.items() if n > 1)
        if not any(keys.values()):
            yield "no change carries the key of a notification"
        made = {each["metadata"].get("pruuf_notification") for each in self._made()}
        yield from (f"made without a key: {name}" for name in made if not _keyed(keys, name))

    def _made(self) -> Iterable[dict[str, Any]]:
        """Customers, subscriptions and refunds of ours."""
        yield from self.stripe.every("customers")
        for each in self.stripe.every("subscriptions", status="all"):
            if "pruuf_notification" in each["metadata"]:
                yield each
        yield from self.stripe.every("refunds")

    def _untold(self) -> Iterable[str]:
        """Events that Stripe has and we do not, or could not apply."""
        heard = dict(
            self.stack.query(
                "SELECT replace(source_id, ':nobody', ''), result FROM billing_event"
                " WHERE source = 'stripe'"
            )
        )
        for each in self.stripe.every("events"):
            result = heard.get(each["id"])
            if result is None or result == "failed":
                yield f"{each['id']} {each['type']}: {result}"

    def refunded(self) -> Counter[str]:
        """How often something was paid back, by account."""
        owner = {
            each["id"]: each["metadata"]["pruuf_account"] for each in self.stripe.every("customers")
        }
        charges = {each["id"]: owner[each["customer"]] for each in self.stripe.every("charges")}
        return Counter(charges[each["charge"]] for each in self.stripe.every("refunds"))

    def charged(self) -> Counter[str]:
        """How often money was taken, by account."""
        owner = {
            each["id"]: each["metadata"]["pruuf_account"] for each in self.stripe.every("customers")
        }
        taken = self.stripe.control("stripe/sums")["charges"]
        return Counter(owner[each["customer"]] for each in taken)


def _keyed(keys: Counter[str], name: str | None) -> bool:
    return any(key.partition(":")[0] == name for key in keys)
