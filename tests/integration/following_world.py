"""Gateway, relay and simulators of one test, in this process, around topics and announcements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from litestar import Litestar
from litestar.testing import AsyncTestClient
from prometheus_client import CollectorRegistry

from gateway.app import create_app
from observability.relay_metrics import RelayMetrics
from outbox.providers.wiring import providers
from outbox.relay.process import Relay
from outbox.settings import Settings, load
from outbox.simulators.environment import environment as simulated
from tests.contract.simulated import Simulated, simulators

from .conftest import MakeKey, environment, event

_numbers = count(1)
_WITHIN_S = 60.0


def announcement(
    *recipients: str,
    topic: str = "news",
    languages: tuple[str, ...] = ("en", "es"),
    **attributes: object,
) -> dict[str, Any]:
    """To everybody who follows the topic, or to these recipients."""
    data: dict[str, Any] = {
        "topic": topic,
        "title": {language: f"Title in {language}" for language in languages},
        "body": {language: f"Body in {language}" for language in languages},
    }
    if recipients:
        data["recipients"] = list(recipients)
    return event("announcement.published", data, **{"subject": topic, **attributes})


class World:
    """All of it; a relay works while `relay` is open."""

    def __init__(
        self,
        api: AsyncTestClient[Litestar],
        sim: Simulated,
        settings: Settings,
    ) -> None:
        self.api = api
        self.sim = sim
        self.settings = settings

    async def ok(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON
        answer = await self.api.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def device(
        self,
        recipient: str,
        *,
        device: str = "d_1",
        address: str | None = None,
        locale: str | None = None,
    ) -> str:
        """Register a device; its address, one of its own unless it is given."""
        address = address or f"token-{next(_numbers)}"
        if locale is not None:
            await self.ok("PUT", f"/v1/recipients/{recipient}", {"locale": locale})
        body = {"token": address, "address_kind": "token", "platform": "android"}
        await self.ok("PUT", f"/v1/recipients/{recipient}/devices/{device}", body)
        return address

    async def follow(
        self, recipient: str, topic: str = "news", *, device: str = "d_1"
    ) -> list[str]:
        """Ids of the commands that it became."""
        path = f"/v1/recipients/{recipient}/devices/{device}/topics/{topic}"
        commands: list[str] = (await self.ok("PUT", path))["notifications"]
        return commands

    async def unfollow(self, recipient: str, topic: str = "news") -> list[str]:
        path = f"/v1/recipients/{recipient}/devices/d_1/topics/{topic}"
        commands: list[str] = (await self.ok("DELETE", path))["notifications"]
        return commands

    async def announce(self, published: dict[str, Any]) -> list[dict[str, Any]]:
        """Its notifications."""
        notifications: list[dict[str, Any]] = (await self.ok("POST", "/v1/events", published))[
            "notifications"
        ]
        return notifications

    async def notification(self, name: str) -> dict[str, Any]:
        told: dict[str, Any] = await self.ok("GET", f"/v1/notifications/{name}")
        return told

    async def members(self) -> dict[str, list[str]]:
        """Who follows what, at FCM."""
        members: dict[str, list[str]] = (await self.sim.http.get("/_sim/topics")).json()
        return members

    async def pushes(self) -> list[tuple[str, str]]:
        """To whom, and what, as FCM accepted it."""
        return [(line["to"], line["text"]) for line in await self.sim.ledger(provider="fcm")]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.require_database()) as connection:
            return connection.execute(query.encode()).fetchall()

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        ends = time.monotonic() + _WITHIN_S
        while not await asyncio.to_thread(condition):
            assert time.monotonic() < ends, f"{what}: {self.rows('SELECT * FROM due')}"
            await asyncio.sleep(0.05)

    async def settled(self) -> None:
        """Nothing is open any more."""
        await self.until(lambda: not self.rows("SELECT FROM due"), "still open")

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[None]:
        """A relay that works until the block ends."""
        async with providers(self.settings) as made:
            stop = asyncio.Event()
            relay = Relay(self.settings, made, RelayMetrics(CollectorRegistry()))
            running = asyncio.create_task(relay.run(stop))
            try:
                yield
            finally:
                stop.set()
                await running


@asynccontextmanager
async def world(
    folder: Path,
    database_url: str,
    make_key: MakeKey,
    policy: str = "",
) -> AsyncIterator[World]:
    """Nothing is accepted yet, and no relay works."""
    async with simulators(folder) as sim:
        values = {**environment(database_url), **simulated(base_url=sim.url, folder=folder)}
        if policy:
            (folder / "policy.toml").write_text(policy)
            values["PRUUF_POLICY"] = "policy.toml"
        values["PRUUF_OPERATOR_WEBHOOK"] = f"{sim.url}/_sim/operator"
        settings = load(values, cwd=folder)
        async with AsyncTestClient(app=create_app(settings)) as api:
            api.headers["Authorization"] = make_key()
            yield World(api, sim, settings)
