"""The benchmark measures what it says, writes it down, and leaves nothing running."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from gateway.schemas import many, one
from tests.benchmarks import usage
from tests.benchmarks.events import batch, filled, template
from tests.benchmarks.figures import FORMAT, Latency, Report, Spread, limit
from tests.benchmarks.sink import Sink
from tests.benchmarks.table import WIDTH, show

ROOT = Path(__file__).resolve().parents[2]
INTAKE = [sys.executable, "-m", "tests.benchmarks", "--quick", "--only", "intake", "--rounds", "1"]
WITHIN_S = 180


@pytest.mark.newest
def test_a_short_run_of_the_intake_writes_its_report(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    done = subprocess.run(
        [*INTAKE, "--report", str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(target.read_bytes(), type=Report)

    assert report.format == FORMAT
    assert report.quick
    assert report.machine.durability["fsync"] == "on"
    assert {
        compared.name: [each.name for each in compared.limits] for compared in report.compared
    } == {
        "accept_single": ["litestar", "pgbench_1"],
        "accept_batch": ["pgbench_100"],
    }
    for compared in report.compared:
        assert compared.rate.median > 0
        for each in compared.limits:
            assert each.ratio.median == pytest.approx(
                compared.rate.median / each.rate.median,
                rel=0.01,
            )
    assert [cost.name for cost in report.costs] == ["accept_single", "accept_batch"]
    assert all(cost.wal_bytes > 0 and cost.commits > 0 for cost in report.costs)
    assert [held.process for held in report.memory] == ["gateway", "Postgres, all of it"]
    # A run that is not the whole one must not replace the figures that are kept.
    assert str(ROOT) not in target.read_text()
    assert max(len(line.rstrip()) for line in done.stdout.splitlines()) <= WIDTH


@pytest.mark.newest
def test_an_interrupt_ends_everything_that_was_started() -> None:
    bench = subprocess.Popen(INTAKE, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert bench.stderr is not None
    for line in bench.stderr:
        if "round 1" in line:
            break
    children = [pid for pid in usage.family(bench.pid) if pid != bench.pid]
    bench.send_signal(signal.SIGINT)
    _, said = bench.communicate(timeout=WITHIN_S)

    assert bench.returncode == 130, said
    assert "nothing is left running" in said
    # Gateway, its peer, and the sink at least; the load is in between or under way.
    assert len(children) >= 3
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def test_the_kept_report_can_be_read_and_shown() -> None:
    kept = Path(__file__).with_name("report.json").read_bytes()
    report = msgspec.json.decode(kept, type=Report)
    page = io.StringIO()
    show(report, Console(width=WIDTH, file=page))
    shown = page.getvalue()

    assert not report.quick
    assert {compared.name for compared in report.compared} == {
        "accept_single",
        "accept_batch",
        "send",
    }
    assert all(compared.what in shown for compared in report.compared)


def test_events_are_accepted_by_the_gateway_s_own_decoder_and_differ() -> None:
    text = template("run")
    first, second = one.decode(filled(text, 1)), one.decode(filled(text, 2))
    batched = many.decode(batch(text, range(1, 3)))

    assert first.id != second.id
    assert first.subject != second.subject
    assert batched == [first, second]


def test_ratios_are_made_within_each_round() -> None:
    made = limit("peer", "a peer", [10, 30], [20, 20])

    assert made.ratio == Spread(median=1.0, low=0.5, high=1.5, rounds=(0.5, 1.5))


def test_latencies_are_by_nearest_rank() -> None:
    latency = Latency.of("n", "n", [number / 1000 for number in range(1, 101)])

    assert (latency.p50_ms, latency.p99_ms, latency.max_ms) == (51.0, 100.0, 100.0)


async def test_the_sink_answers_each_request_once_however_it_is_cut() -> None:
    arrived: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(
        lambda: Sink(arrived.append),
        "127.0.0.1",
        0,
    )
    async with asyncio.timeout(WITHIN_S / 10), server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = b"POST /x HTTP/1.1\r\nHost: x\r\ncontent-length: 4\r\n\r\nTo=1"
        for part in (request[:10], request[10:50], request[50:] + request):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        answers = []
        for _ in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answers.append(json.loads(await reader.readexactly(length)))
        writer.close()

    assert arrived == [b"To=1", b"To=1"]
    assert answers[0]["sid"] != answers[1]["sid"]


def test_cpu_seconds_grow_with_work() -> None:
    before = usage.cpu_s(os.getpid())
    assert before is not None
    while (now := usage.cpu_s(os.getpid())) == before:
        sum(range(100_000))

    assert now is not None
    assert now > before
