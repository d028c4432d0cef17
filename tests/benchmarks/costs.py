"""What a round cost: CPU of each process, WAL and commits, per thousand of what was done."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct

from tests.benchmarks import usage
from tests.benchmarks.figures import Cost


class Spent(Struct, frozen=True, kw_only=True):
    """Counters at one moment, or their difference between two."""

    gateway_cpu_s: float | None = None
    relay_cpu_s: float | None = None
    postgres_cpu_s: float | None = None
    tools_cpu_s: float | None = None
    wal_bytes: float = 0.0
    commits: float = 0.0

    def since(self, before: Spent) -> Spent:
        """What was spent from then to now."""
        return Spent(
            gateway_cpu_s=usage.less(self.gateway_cpu_s, before.gateway_cpu_s),
            relay_cpu_s=usage.less(self.relay_cpu_s, before.relay_cpu_s),
            postgres_cpu_s=usage.less(self.postgres_cpu_s, before.postgres_cpu_s),
            tools_cpu_s=usage.less(self.tools_cpu_s, before.tools_cpu_s),
            wal_bytes=self.wal_bytes - before.wal_bytes,
            commits=self.commits - before.commits,
        )

    def over(self, count: int, *, tools_cpu_s: float | None = None) -> Spent:
        """Per thousand."""

        def share(value: float | None) -> float | None:
            return None if value is None else value * 1000 / count

        return Spent(
            gateway_cpu_s=share(self.gateway_cpu_s),
            relay_cpu_s=share(self.relay_cpu_s),
            postgres_cpu_s=share(self.postgres_cpu_s),
            tools_cpu_s=share(self.tools_cpu_s if tools_cpu_s is None else tools_cpu_s),
            wal_bytes=self.wal_bytes * 1000 / count,
            commits=self.commits * 1000 / count,
        )


def cost(name: str, what: str, rounds: Sequence[Spent]) -> Cost:
    """Medians of the rounds."""

    def middle(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(f"{statistics.median(known):.3g}") if known else None

    return Cost(
        name=name,
        what=what,
        gateway_cpu_s=middle([spent.gateway_cpu_s for spent in rounds]),
        relay_cpu_s=middle([spent.relay_cpu_s for spent in rounds]),
        postgres_cpu_s=middle([spent.postgres_cpu_s for spent in rounds]),
        tools_cpu_s=middle([spent.tools_cpu_s for spent in rounds]),
        wal_bytes=middle([spent.wal_bytes for spent in rounds]) or 0.0,
        commits=middle([spent.commits for spent in rounds]) or 0.0,
    )
