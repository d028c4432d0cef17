"""What tests ask of the simulated Stripe: Stripe's own SDK, test clocks, and its control."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import stripe

from outbox.simulators.credentials import STRIPE_KEY
from outbox.simulators.stripe.catalog import PRICE
from tests.contract.simulated import WITHIN_S, for_many

DAY_S = 86_400
START = 1_767_258_000
"""2026-01-01T09:00:00Z."""

# The SDK would send the name of this platform, and an id that it keeps in a file.
stripe.enable_telemetry = False


class Account:
    """One account, reached through the SDK and through the control."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._requests = stripe.RequestsClient(timeout=WITHIN_S)
        self.api = self.client(STRIPE_KEY)
        self.v1 = self.api.v1
        self.http = httpx.Client(base_url=url, timeout=WITHIN_S, trust_env=False)

    def client(self, key: str) -> stripe.StripeClient:
        """The SDK with another key."""
        return stripe.StripeClient(
            key,
            base_addresses={"api": self.url},
            http_client=self._requests,
        )

    def close(self) -> None:
        """Close what is open, that of this thread."""
        self.http.close()
        self._requests.close()  # type: ignore[no-untyped-call] # the SDK's own

    def control(self, name: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
        """Ask the control for something."""
        answer = self.http.post(f"/_sim/{name}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def sums(self, customer: str) -> dict[str, Any]:
        """What the ledger says of a customer's money: cents by kind."""
        found = self.http.get("/_sim/stripe/sums", params={"customer": customer}).json()
        kinds = found["customers"].get(customer, {})
        return {what: by["usd"]["amount"] for what, by in kinds.items()}

    def life(self, card: str | None = None, **more: Any) -> Life:  # noqa: ANN401 - parameters
        """Somebody with a clock of their own; the subscription is made by `Life.subscribe`."""
        return Life(self, card, more)

    def raw(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - options
        """A call without the SDK."""
        headers = {"Authorization": f"Bearer {STRIPE_KEY}", **more.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **more)


class Life:
    """A customer on a test clock."""

    def __init__(self, account: Account, card: str | None, more: dict[str, Any]) -> None:
        self.account = account
        self.v1 = account.v1
        start = more.pop("start", START)
        self.clock = self.v1.test_helpers.test_clocks.create({"frozen_time": start}).id
        self.now = start
        params = {"test_clock": self.clock, **more}
        self.customer = self.v1.customers.create(params).id  # type: ignore[arg-type] # a plain dict
        self.sub = ""
        if card is not None:
            self.add_card(card)

    def add_card(self, card: str) -> str:
        """Attach a card and make it the default."""
        method = self.v1.payment_methods.attach(card, {"customer": self.customer}).id
        default = {"invoice_settings": {"default_payment_method": method}}
        self.v1.customers.update(self.customer, default)  # type: ignore[arg-type] # a plain dict
        return method

    def subscribe(self, **more: Any) -> stripe.Subscription:  # noqa: ANN401 - parameters
        """Subscribe to the price that is there from the start."""
        params = {"customer": self.customer, "items": [{"price": PRICE}], **more}
        made = self.v1.subscriptions.create(params)  # type: ignore[arg-type] # a plain dict
        self.sub = made.id
        return made

    def trial(self, missing: str = "pause", days: int = 30) -> stripe.Subscription:
        """Subscribe as the product does: a trial, and what follows without a card."""
        behavior = {"end_behavior": {"missing_payment_method": missing}}
        return self.subscribe(trial_period_days=days, trial_settings=behavior)

    def pass_time(self, days: float) -> None:
        """Advance the clock, and wait until it has arrived."""
        self.now += int(days * DAY_S)
        clocks = self.v1.test_helpers.test_clocks
        asked = clocks.advance(self.clock, {"frozen_time": self.now})
        assert asked.status == "advancing"
        until = time.monotonic() + WITHIN_S
        while clocks.retrieve(self.clock).status != "ready":
            assert time.monotonic() < until
            time.sleep(0.002)

    @property
    def status(self) -> str:
        """Of the subscription."""
        return self.read().status

    def read(self) -> stripe.Subscription:
        """The subscription."""
        return self.v1.subscriptions.retrieve(self.sub)

    def invoices(self) -> list[stripe.Invoice]:
        """All of them, the oldest first."""
        return self.v1.invoices.list({"customer": self.customer, "limit": 100}).data[::-1]

    def events(self, *kinds: str) -> list[str]:
        """The types of this customer's events in order; of these kinds alone, where named."""
        found = []
        for event in self.v1.events.list({"limit": 100}).auto_paging_iter():
            value = event.data.object.to_dict()
            if self.customer in {value.get("id"), value.get("customer")}:
                found.append(event.type)
        return [kind for kind in found[::-1] if not kinds or kind in kinds]

    @property
    def sums(self) -> dict[str, Any]:
        """What the ledger says of this customer's money."""
        return self.account.sums(self.customer)


@contextmanager
def account(folder: Path, **options: object) -> Iterator[Account]:
    """A simulator of one's own."""
    with for_many(folder / "ledger.sqlite", **options) as url:
        made = Account(url)
        try:
            yield made
        finally:
            made.close()


def ledger(made: Account) -> list[dict[str, Any]]:
    """Stripe's lines."""
    answer = made.http.get("/_sim/ledger", params={"provider": "stripe"})
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]
