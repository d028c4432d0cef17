"""Several relays over one database, with clocks of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from prometheus_client import CollectorRegistry

from observability.relay_metrics import RelayMetrics
from outbox.domain.breaker import LEAST, Breaker
from outbox.domain.ids import new_id
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.rates import Shares
from outbox.domain.states import Lane
from outbox.relay.database import Session
from outbox.relay.gate import Gate, Verdict, Way
from outbox.relay.gate_sync import GateSync
from outbox.store.connect import Connection, Role, connect
from outbox.store.gates import SenderKey

SHARES = Shares(safety=0.5, codes=0.2, other=0.3)
KEY = SenderKey("twilio", "a")
BROKEN = Outcome(result=Result.OUTCOME_UNKNOWN, provider="twilio", code="20500")
ACCEPTED = Outcome(result=Result.ACCEPTED, provider="twilio")
SLOWER = Outcome(result=Result.RETRYABLE, provider="twilio", code="20429", retry_after_s=30.0)


class Relay:
    """What one relay has of the gate, and its place in the list of relays."""

    def __init__(self, url: str, *, rate: float | None, clock: Callable[[], float]) -> None:
        async def open_connection() -> Connection:
            return await connect(url, Role.RELAY, application="tests")

        metrics = RelayMetrics(CollectorRegistry())
        self.id: UUID = new_id(0)
        self.session = Session(open_connection, part="gate", metrics=metrics)
        self.way = Way(key=KEY, label="1", rate=rate, breaker=Breaker(lambda: 0.5))
        self.gate = Gate([self.way], clock=clock, jitter=lambda: 0.05)
        self.sync = GateSync(
            self.gate,
            session=self.session,
            relay=self.id,
            shares=SHARES,
            clock=clock,
            metrics=metrics,
        )

    async def beat(self) -> None:
        """Be listed as alive."""
        connection = await self.session.get()
        await connection.execute(
            "INSERT INTO relay (shard, id, host, pid) VALUES (0, %s, 'here', 1)", (self.id,)
        )

    async def round(self) -> None:
        """Share once."""
        await self.session.persist(self.sync._round)

    def ask(self, lane: Lane = Lane.SAFETY) -> Verdict:
        return self.gate.ask(self.way, lane)

    def fail(self, times: int = LEAST) -> None:
        """Calls of this relay fail."""
        for _ in range(times):
            self.gate.heard(self.way, self.gate.ask(self.way, Lane.SAFETY), BROKEN)


class Time:
    """The relays' own clock; the database has its own."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def relays(
    url: str,
    count: int,
    *,
    rate: float | None = None,
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[tuple[list[Relay], Time]]:
    fake = Time()
    async with AsyncExitStack() as stack:
        made = [Relay(url, rate=rate, clock=clock or fake) for _ in range(count)]
        for relay in made:
            stack.push_async_callback(relay.session.drop)
            await relay.beat()
            await relay.round()
        yield made, fake
