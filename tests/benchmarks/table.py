"""The report for a person: at most 100 columns, the ratio beside each limit."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import Compared, Cost, Latency, Memory, Report, Spread

WIDTH = 100
BUSY = 0.2
"""Share of the machine above which a run is no record: what has many processes suffers more."""


def show(report: Report, console: Console) -> None:
    """Print everything that was measured."""
    machine = report.machine
    console.print(
        f"\n[bold]{machine.cores} cores, {machine.processor}, {machine.memory_gib:g} GiB,"
        f" {machine.filesystem}[/]\nPython {machine.python}, Postgres {machine.postgres},"
        f" fsync {machine.durability['fsync']} ({machine.durability['wal_sync_method']});"
        f" load by {report.generator}; sink {report.sink}",
    )
    for compared in report.compared:
        console.print(_compared(compared))
    if report.latencies:
        console.print(_latencies(report.latencies))
    if report.costs:
        console.print(_costs(report.costs))
    if report.memory:
        console.print(_memory(report.memory))
    if is_busy(report):
        console.print(
            f"[yellow]Other programs took {machine.others_share:.0%} of this machine meanwhile:"
            " rates are low, and ratios unfair to what has many processes.[/]",
        )


def is_busy(report: Report) -> bool:
    """Whether other programs took too much of the machine."""
    return report.machine.others_share is not None and report.machine.others_share > BUSY


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, width=WIDTH)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", ratio=None if number else 1)
    return table


def _range(spread: Spread) -> str:
    return f"{_figure(spread.low)} – {_figure(spread.high)}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _compared(compared: Compared) -> Table:
    table = _table(compared.unit, "median", "range", "ours ÷ this", "range")
    rate = compared.rate
    table.add_row(f"[bold]{compared.what}[/]", f"[bold]{_figure(rate.median)}[/]", _range(rate))
    for limit in compared.limits:
        table.add_row(
            f"  {limit.what}",
            _figure(limit.rate.median),
            _range(limit.rate),
            f"[bold]{_figure(limit.ratio.median)}[/]",
            _range(limit.ratio),
        )
    return table


def _latencies(latencies: Sequence[Latency]) -> Table:
    table = _table("idle, one event at a time", "events", "p50", "p99", "longest")
    for each in latencies:
        times = (f"{value:.1f} ms" for value in (each.p50_ms, each.p99_ms, each.max_ms))
        table.add_row(each.what, f"{each.events}", *times)
    return table


def _costs(costs: Sequence[Cost]) -> Table:
    table = _table("per thousand", "gateway", "relay", "Postgres", "tools", "WAL", "commits")
    for each in costs:
        cpu = (each.gateway_cpu_s, each.relay_cpu_s, each.postgres_cpu_s, each.tools_cpu_s)
        table.add_row(
            each.what,
            *("–" if value is None else f"{value:.3f} s" for value in cpu),
            f"{each.wal_bytes / 1e6:.2f} MB",
            f"{each.commits:.0f}",
        )
    return table


def _memory(memory: Sequence[Memory]) -> Table:
    table = _table("memory", "at most")
    for each in memory:
        peak = "–" if each.peak_mib is None else f"{each.peak_mib:,.0f} MiB"
        table.add_row(each.process, peak)
    return table
