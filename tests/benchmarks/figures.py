"""The figures of one run: several rounds each, as median and range, and ratios round by round."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Self

from msgspec import Struct

FORMAT = 1


class Spread(Struct, frozen=True, kw_only=True):
    """One quantity over the rounds."""

    median: float
    low: float
    high: float
    rounds: tuple[float, ...]
    """In the order in which they were measured."""

    @classmethod
    def of(cls, rounds: Sequence[float]) -> Self:
        """Of at least one round; kept to four figures, which is more than repeats."""
        kept = tuple(float(f"{value:.4g}") for value in rounds)
        return cls(
            median=float(f"{statistics.median(kept):.4g}"),
            low=min(kept),
            high=max(kept),
            rounds=kept,
        )


class Limit(Struct, frozen=True, kw_only=True):
    """What this machine can do without us, measured in the same rounds."""

    name: str
    what: str
    rate: Spread
    ratio: Spread
    """Ours divided by this, within each round: the load of the machine cancels out."""


class Compared(Struct, frozen=True, kw_only=True):
    """A rate of ours beside its limits."""

    name: str
    what: str
    unit: str
    rate: Spread
    limits: tuple[Limit, ...]


class Latency(Struct, frozen=True, kw_only=True):
    """A time over many events."""

    name: str
    what: str
    events: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    @classmethod
    def of(cls, name: str, what: str, seconds: Sequence[float]) -> Self:
        """Of at least one event; nearest rank."""
        ordered = sorted(seconds)

        def rank(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2)

        return cls(
            name=name,
            what=what,
            events=len(ordered),
            p50_ms=rank(0.5),
            p99_ms=rank(0.99),
            max_ms=rank(1.0),
        )


class Cost(Struct, frozen=True, kw_only=True):
    """What a thousand of something cost; medians of the rounds, null where unmeasurable."""

    name: str
    what: str
    gateway_cpu_s: float | None
    relay_cpu_s: float | None
    postgres_cpu_s: float | None
    tools_cpu_s: float | None
    """Of the load generator or the sink: what they took from us on the same cores."""
    wal_bytes: float
    commits: float


class Memory(Struct, frozen=True, kw_only=True):
    """The most that a process held."""

    process: str
    peak_mib: float | None


class Machine(Struct, frozen=True, kw_only=True):
    """Where it was measured; nothing that names the machine."""

    cores: int
    processor: str
    memory_gib: float
    system: str
    filesystem: str
    """Under the database."""
    python: str
    postgres: str
    durability: dict[str, str]
    """Postgres' own words on what a commit waits for."""
    others_share: float | None = None
    """Part of all cores that programs which are not of this run took while it measured."""


class Report(Struct, frozen=True, kw_only=True):
    """``report.json``."""

    format: int
    made_at: str
    command: str
    quick: bool
    seconds: float
    machine: Machine
    generator: str
    sink: str
    event: str
    """What one event is."""
    compared: tuple[Compared, ...]
    latencies: tuple[Latency, ...]
    costs: tuple[Cost, ...]
    memory: tuple[Memory, ...]


class Part(Struct, frozen=True, kw_only=True):
    """What one benchmark found."""

    compared: tuple[Compared, ...] = ()
    latencies: tuple[Latency, ...] = ()
    costs: tuple[Cost, ...] = ()
    memory: tuple[Memory, ...] = ()


def limit(name: str, what: str, ours: Sequence[float], theirs: Sequence[float]) -> Limit:
    """A limit and how much of it is ours, from rounds measured side by side."""
    ratio = [our / their for our, their in zip(ours, theirs, strict=True)]
    return Limit(name=name, what=what, rate=Spread.of(theirs), ratio=Spread.of(ratio))
