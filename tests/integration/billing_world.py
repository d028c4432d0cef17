"""A gateway, a relay that works by hand, and the simulated Stripe, whose events a test delivers."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import stripe
from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec.structs import replace

from gateway.app import create_app
from outbox.providers.stripe import API_VERSION, StripeBilling
from outbox.providers.stripe_http import SdkTransport, exchange
from outbox.providers.transport import Answer, PooledTransport, TransportFault
from outbox.settings import Settings, StripeSettings
from outbox.simulators.environment import environment
from tests.integration.relay_hand import Hand, hand

from .conftest import STRIPE_SECRETS, event

__all__ = ["World", "signed", "stripe_settings", "world"]


def stripe_settings(base_url: str, folder: Path) -> StripeSettings:
    """Settings for the simulated Stripe."""
    given = environment(base_url=base_url, folder=folder)
    return StripeSettings(
        api_key=given["STRIPE_API_KEY"],
        webhook_secrets=STRIPE_SECRETS,
        price_id=given["STRIPE_PRICE_ID"],
        api_base=base_url,
    )


def signed(
    body: bytes, *, secrets: Iterable[str] = STRIPE_SECRETS[:1], at: float | None = None
) -> str:
    """A signature as Stripe makes it: one v1 for each secret."""
    stamp = str(int(time.time() if at is None else at))
    values = [
        hmac.new(each.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        for each in secrets
    ]
    return ",".join([f"t={stamp}", *(f"v1={value}" for value in values)])


class Line:
    """The way to Stripe, on which answers may be lost."""

    def __init__(self, transport: PooledTransport) -> None:
        self._transport = transport
        self.loses = False
        """Changes are made, and nobody hears of it."""
        self.changes: list[str | None] = []
        """Idempotency keys of the changes that were asked for."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float | None = None,
    ) -> Answer:
        answer = await self._transport.request(
            method, url, headers=headers, body=body, timeout_s=timeout_s
        )
        if method != "GET":
            self.changes.append(headers.get("Idempotency-Key"))
            if self.loses:
                raise TransportFault("closed", sent=None)  # noqa: EM101 - the name of a fault
        return answer


class World:
    """Everything of one test."""

    def __init__(
        self,
        *,
        api: AsyncTestClient[Litestar],
        relay: Hand,
        sdk: stripe.StripeClient,
        sim: httpx.AsyncClient,
        line: Line,
    ) -> None:
        self.line = line
        self.api = api
        self.relay = relay
        self.sdk: Any = sdk.v1
        self.sim = sim
        self._delivered: str | None = None

    async def post(self, kind: str, data: dict[str, Any], **attributes: object) -> dict[str, Any]:
        """Post an event of an account; the answer."""
        subject = data["account"]["id"]
        body = event(kind, data, **{"subject": subject, **attributes})
        body.pop("time", None) if "time" not in attributes else None
        answer = await self.api.post("/v1/events", json=body)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def open(self, account: str = "c_1", role: str = "contact") -> UUID:
        """Open an account; its command."""
        data = {"account": {"id": account, "email": f"{account}@example.com", "role": role}}
        answer = await self.post("billing.account_opened", data)
        return UUID(answer["notifications"][0]["id"])

    async def say(self, kind: str, name: str = "c_1", **data: object) -> UUID:
        """Say something of an account; its command."""
        answer = await self.post(f"billing.{kind}", {"account": {"id": name}, **data})
        return UUID(answer["notifications"][0]["id"])

    async def account(self, account: str = "c_1") -> dict[str, Any]:
        """The account as the API shows it."""
        answer = await self.api.get(f"/v1/accounts/{account}")
        assert answer.status_code == httpx.codes.OK, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def entitlement(self, account: str = "c_1") -> tuple[str, str]:
        """And why."""
        found = await self.account(account)
        return found["entitlement"], found["reason"]

    async def events(self) -> list[dict[str, Any]]:
        """Events of Stripe that were not delivered yet, oldest first."""
        found: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": 100}
        while True:
            page = (await self.sim.get("/v1/events", params=params)).json()["data"]
            known = [each["id"] for each in page]
            if self._delivered in known:
                page = page[: known.index(self._delivered)]
            found += page
            if len(page) < params["limit"]:
                break
            params["starting_after"] = page[-1]["id"]
        if found:
            self._delivered = found[0]["id"]
        return found[::-1]

    async def hear(self, *events: dict[str, Any]) -> None:
        """Deliver webhooks and apply them."""
        for one in events:
            body = json.dumps(one).encode()
            answer = await self.webhook(body, signed(body))
            assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
        await self.relay.apply()

    async def webhook(self, body: bytes, signature: str | None) -> httpx.Response:
        """Post one webhook."""
        headers = {"Content-Type": "application/json"}
        if signature is not None:
            headers["Stripe-Signature"] = signature
        return await self.api.post("/webhooks/stripe", content=body, headers=headers)

    async def work(self) -> None:
        """Commands, webhooks and what follows from them, until nothing does."""
        for _ in range(20):
            await self.relay.to_the_end(within_s=600)
            events = await self.events()
            if not events:
                return
            await self.hear(*events)
        msg = "Stripe does not come to rest"
        raise AssertionError(msg)

    async def days(self, days: float) -> None:
        """Let time pass at Stripe, and deliver what happened."""
        left = days
        while left > 0:
            # Stripe lists events for thirty days only.
            step = min(left, 15.0)
            answer = await self.sim.post("/_sim/clock", json={"advance_s": int(step * 86_400)})
            assert answer.status_code == httpx.codes.OK, answer.text
            await self.work()
            left -= step

    async def ask(self, asking: Any) -> Any:  # noqa: ANN401 - the SDK's own
        """A call by Stripe's own SDK."""
        with exchange(30.0):
            return await asking

    async def subscriptions(self, account: str = "c_1") -> list[Any]:
        """Stripe's own subscriptions of an account, newest first."""
        query = f"metadata['pruuf_account']:'{account}'"
        found = await self.ask(self.sdk.subscriptions.search_async({"query": query}))
        return list(found.data)


@asynccontextmanager
async def world(settings: Settings, url: str, folder: Path, key: str) -> AsyncIterator[World]:
    """A world on a test's own database, with an API key for everything."""
    stripe_ = stripe_settings(url, folder)
    settings = replace(settings, stripe=stripe_)
    headers = {"Authorization": f"Bearer {stripe_.api_key}"}
    async with (
        PooledTransport() as transport,
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as sim,
        AsyncTestClient(app=create_app(settings)) as api,
        hand(settings, stripe=StripeBilling(stripe_, line := Line(transport))) as relay,
    ):
        api.headers["Authorization"] = key
        sdk = stripe.StripeClient(
            stripe_.api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": url},
            http_client=SdkTransport(transport),
        )
        yield World(api=api, relay=relay, sdk=sdk, sim=sim, line=line)
