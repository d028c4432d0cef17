"""Accepted events per second, single and in batches, beside what this machine can do without us."""

from __future__ import annotations

import os
from collections.abc import Callable

from gateway.demo.stack import free_port
from tests.benchmarks import usage
from tests.benchmarks.costs import Spent, cost
from tests.benchmarks.figures import Compared, Memory, Part, Spread, limit
from tests.benchmarks.generators import Generator, Load
from tests.benchmarks.ground import Ground, InvalidRunError
from tests.benchmarks.pgbench import RawInserts

_CONNECTIONS = 64
_BATCH = 100
_BATCH_CONNECTIONS = 16
_NOBODY = "http://127.0.0.1:9"
"""No relay runs here, so no provider is ever called."""

Say = Callable[[str], None]


class Intake:
    """A gateway, the bare Litestar and pgbench, side by side."""

    def __init__(self, ground: Ground, generator: Generator) -> None:
        """Start what is measured."""
        self._ground = ground
        self._generator = generator
        self._raw = RawInserts(ground)
        self._database = ground.database()
        self._gateway, self._url = ground.gateway(self._database, providers=_NOBODY)
        port = free_port(0)
        self._bare_url = f"http://127.0.0.1:{port}"
        self._bare = ground.start(
            "litestar",
            ground.module("tests.benchmarks.bare_litestar", str(port)),
            {**os.environ, "PRUUF_API_KEY": ground.key},
        )
        ground.wait(self._bare, f"{self._bare_url}/healthz")

    def end(self) -> Memory:
        """End it; what the gateway held at most."""
        peak = usage.peak_mib(self._gateway.pid)
        for process in (self._gateway, self._bare):
            self._ground.end(process)
        self._raw.end()
        self._ground.drop(self._database)
        return Memory(process="gateway", peak_mib=peak)

    def ours(self, *, batch: int, connections: int, seconds: float) -> tuple[float, Spent]:
        """Events a second, and what they cost; the database's count proves them."""
        self._ground.checkpoint()
        before = self._readings()
        run, load = self._generator.post(
            f"{self._url}/v1/events",
            connections=connections,
            seconds=seconds,
            batch=batch,
        )
        spent = self._readings().since(before)
        stored = self._stored(run, load, batch=batch, connections=connections)
        return load.per_s * batch, spent.over(stored, tools_cpu_s=load.cpu_s)

    def bare(self, *, seconds: float) -> float:
        """Events a second of the database-free Litestar."""
        url = f"{self._bare_url}/v1/events"
        _, load = self._generator.post(url, connections=_CONNECTIONS, seconds=seconds)
        return load.per_s

    def raw(self, *, batch: int, connections: int, seconds: float) -> float:
        """Rows a second of pgbench."""
        return self._raw.rows_per_s(rows=batch, connections=connections, seconds=seconds)

    def _readings(self) -> Spent:
        wal_bytes, commits = self._ground.written(self._database)
        return Spent(
            gateway_cpu_s=usage.cpu_s(self._gateway.pid),
            postgres_cpu_s=usage.family_cpu_s(self._ground.postgres_pid),
            wal_bytes=wal_bytes,
            commits=commits,
        )

    def _stored(self, run: str, load: Load, *, batch: int, connections: int) -> int:
        query = "SELECT count(*) FROM event_key WHERE source = %s"
        stored = int(self._ground.value(self._database, query, run))
        # Requests that were under way when the generator stopped may have been accepted too.
        most = (load.requests + connections) * batch
        if not load.requests * batch <= stored <= most:
            msg = f"{load.requests * batch} events were answered with 202, {stored} are stored"
            raise InvalidRunError(msg)
        return stored


def measure(
    ground: Ground,
    generator: Generator,
    *,
    rounds: int,
    seconds: float,
    say: Say,
) -> Part:
    """All figures of the intake; the rounds are interleaved."""
    say("intake: starting a gateway and its peer")
    intake = Intake(ground, generator)
    many = {"batch": _BATCH, "connections": _BATCH_CONNECTIONS}
    one = {"batch": 1, "connections": _CONNECTIONS}
    say("intake: warming up")
    intake.ours(**one, seconds=1)
    intake.ours(**many, seconds=1)
    intake.bare(seconds=1)
    single: list[tuple[float, Spent]] = []
    batches: list[tuple[float, Spent]] = []
    bare, raw, raw_many = [], [], []
    for number in range(1, rounds + 1):
        say(f"intake: round {number} of {rounds}")
        single.append(intake.ours(**one, seconds=seconds))
        bare.append(intake.bare(seconds=seconds))
        raw.append(intake.raw(**one, seconds=seconds))
        batches.append(intake.ours(**many, seconds=seconds))
        raw_many.append(intake.raw(**many, seconds=seconds))
    memory = intake.end()
    single_rates, batch_rates = [rate for rate, _ in single], [rate for rate, _ in batches]
    return Part(
        compared=(
            Compared(
                name="accept_single",
                what=f"gateway, one a POST, {_CONNECTIONS} connections",
                unit="events/s",
                rate=Spread.of(single_rates),
                limits=(
                    limit("litestar", "Litestar without a database", single_rates, bare),
                    limit("pgbench_1", "pgbench, one narrow row a commit", single_rates, raw),
                ),
            ),
            Compared(
                name="accept_batch",
                what=f"gateway, {_BATCH} a POST, {_BATCH_CONNECTIONS} connections",
                unit="events/s",
                rate=Spread.of(batch_rates),
                limits=(
                    limit(
                        f"pgbench_{_BATCH}",
                        f"pgbench, {_BATCH} narrow rows a commit",
                        batch_rates,
                        raw_many,
                    ),
                ),
            ),
        ),
        costs=(
            cost("accept_single", "accept, single", [spent for _, spent in single]),
            cost("accept_batch", f"accept, batches of {_BATCH}", [spent for _, spent in batches]),
        ),
        memory=(memory,),
    )
