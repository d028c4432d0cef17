"""``make bench``: intake, sends and latency, each beside the raw limits of this machine."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import msgspec
from rich.console import Console

from outbox.store.embedded import EmbeddedPostgresError
from tests.benchmarks import events, intake, latency, sends, usage
from tests.benchmarks.figures import FORMAT, Memory, Part, Report
from tests.benchmarks.generators import INSTALL, Generator
from tests.benchmarks.ground import Ground, InvalidRunError, open_ground
from tests.benchmarks.sinks import ProviderSink
from tests.benchmarks.table import WIDTH, is_busy, show

PARTS = ("intake", "sends", "latency")
REPORT = Path(__file__).with_name("report.json")
_INTERRUPTED = 130

Say = Callable[[str], None]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long to look."""

    rounds: int
    seconds: float
    due: int
    events: int
    per_s: float


FULL = Pace(rounds=5, seconds=6, due=15_000, events=400, per_s=20)
QUICK = Pace(rounds=2, seconds=1, due=2_500, events=60, per_s=20)


def run_parts(ground: Ground, only: Sequence[str], pace: Pace, say: Say) -> tuple[Part, str, str]:
    """Measure; returns the figures, the generator and the sink."""
    generator, sink = Generator(ground), ProviderSink(ground)
    parts = []
    if "intake" in only:
        parts.append(
            intake.measure(ground, generator, rounds=pace.rounds, seconds=pace.seconds, say=say),
        )
    if "sends" in only:
        parts.append(
            sends.measure(
                ground,
                sink,
                rounds=pace.rounds,
                seconds=pace.seconds,
                count=pace.due,
                say=say,
            ),
        )
    if "latency" in only:
        parts.append(latency.measure(ground, events=pace.events, per_s=pace.per_s, say=say))
    held = usage.family_mib(ground.postgres_pid)
    parts.append(Part(memory=(Memory(process="Postgres, all of it", peak_mib=held),)))
    names = generator.name, sink.name
    sink.end()
    return _joined(parts), *names


def _joined(parts: Sequence[Part]) -> Part:
    return Part(
        compared=tuple(each for part in parts for each in part.compared),
        latencies=tuple(each for part in parts for each in part.latencies),
        costs=tuple(each for part in parts for each in part.costs),
        memory=tuple(each for part in parts for each in part.memory),
    )


def run(only: Sequence[str], pace: Pace, *, quick: bool, say: Say) -> Report:
    """One whole run in a Postgres of its own."""
    started = time.monotonic()
    say("starting a Postgres of its own")
    with open_ground() as ground:
        machine = ground.machine()
        busy, ours, since = usage.machine_cpu_s(), ground.ours_cpu_s(), time.monotonic()
        part, generator, sink = run_parts(ground, only, pace, say)
        others = usage.less(
            usage.less(usage.machine_cpu_s(), busy),
            usage.less(ground.ours_cpu_s(), ours),
        )
        if others is not None:
            share = max(0.0, others / machine.cores / (time.monotonic() - since))
            machine = msgspec.structs.replace(machine, others_share=round(share, 3))
    return Report(
        format=FORMAT,
        made_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        command="make bench",
        quick=quick,
        seconds=round(time.monotonic() - started, 1),
        machine=machine,
        generator=generator,
        sink=sink,
        event=events.WHAT,
        compared=part.compared,
        latencies=part.latencies,
        costs=part.costs,
        memory=part.memory,
    )


def _end_once(number: int, _: object) -> NoReturn:
    """First word: clean up and go. A second one must not interrupt that."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def _write(report: Report, target: Path, console: Console) -> None:
    target.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    console.print(f"{report.seconds:.0f} s; all rounds are in {target.name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than a minute, rough figures")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; repeatable")
    parser.add_argument("--rounds", type=int, choices=range(1, 100), metavar="N", help="how often")
    parser.add_argument("--report", type=Path, help=f"write to this file, not to {REPORT.name}")
    given = parser.parse_args(arguments)
    only = given.only or PARTS
    pace = QUICK if given.quick else FULL
    if given.rounds:
        pace = msgspec.structs.replace(pace, rounds=given.rounds)
    console = Console(width=WIDTH, highlight=False)
    progress = Console(stderr=True, highlight=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_once)
    try:
        report = run(
            only,
            pace,
            quick=given.quick,
            say=lambda text: progress.print(f"[dim]{text}[/]"),
        )
    except KeyboardInterrupt:
        progress.print("stopped; nothing is left running, and no figure was written")
        return _INTERRUPTED
    except (InvalidRunError, EmbeddedPostgresError) as error:
        progress.print(f"✗ no figures: {error}", markup=False)
        return 1
    show(report, console)
    if "not installed" in report.generator + report.sink:
        console.print(f"For less of our own in the way: {INSTALL}")
    whole = pace == FULL and set(only) == set(PARTS)
    if given.report is not None:
        _write(report, given.report, console)
    elif not whole:
        console.print("Rough or partial, so report.json stays as it is; --report FILE writes it.")
    elif is_busy(report):
        console.print("report.json stays as it is; --report FILE writes these figures.")
    else:
        _write(report, REPORT, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
