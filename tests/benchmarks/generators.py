"""Load: wrk where it is installed, else our own processes; both post events that never repeat."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.benchmarks import usage
from tests.benchmarks.events import template
from tests.benchmarks.ground import LONGEST_S, Ground, InvalidRunError

INSTALL = "apt-get install --no-install-recommends wrk nginx-light"
_SPARE_S = 30.0
_runs = itertools.count()


class Load(Struct, frozen=True):
    """What a generator saw."""

    requests: int
    """Answers that were a success."""
    refused: int
    """Answers that were none."""
    broken: int
    """Requests without an answer."""
    seconds: float
    p50_s: float
    p99_s: float
    cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        """Successful answers a second."""
        return self.requests / self.seconds


class Generator:
    """Posts as fast as it is answered, over a number of connections."""

    def __init__(self, ground: Ground) -> None:
        """Take what this machine has."""
        self._ground = ground
        self._wrk = shutil.which("wrk")
        self._processes = 1 if self._wrk else max(1, min(4, (os.cpu_count() or 1) - 1))

    @property
    def name(self) -> str:
        """Which one, for the report."""
        if self._wrk is None:
            return f"pyreqwest in {self._processes} process(es); wrk is not installed"
        # wrk prints its version and leaves with 1.
        said = subprocess.run([self._wrk, "-v"], capture_output=True, text=True, check=False)
        words = said.stdout.split()
        return f"wrk {words[1].rpartition('/')[2]}" if len(words) > 1 else "wrk"

    def post(
        self,
        url: str,
        *,
        connections: int,
        seconds: float,
        batch: int = 1,
    ) -> tuple[str, Load]:
        """Post for a while; the source of its events and what came of it.

        Raises `InvalidRunError` when anything but successes came back.
        """
        run = f"bench-{next(_runs)}"
        body = self._ground.folder / "event.json"
        body.write_text(template(run))
        before = usage.own_cpu_s()
        run_it = self._by_wrk if self._wrk else self._by_ourselves
        load = run_it(url, body, connections=connections, seconds=seconds, batch=batch)
        if not (load.requests or load.refused or load.broken) and seconds < LONGEST_S:
            # A machine so busy that not one answer fitted in.
            return self.post(url, connections=connections, seconds=seconds * 2, batch=batch)
        if load.refused or load.broken or not load.requests:
            msg = f"{load.refused} refused and {load.broken} unanswered of {load.requests} to {url}"
            raise InvalidRunError(msg)
        return run, msgspec.structs.replace(load, cpu_s=usage.own_cpu_s() - before)

    def _environ(self) -> dict[str, str]:
        return {"PRUUF_API_KEY": self._ground.key}

    def _by_wrk(
        self, url: str, body: Path, *, connections: int, seconds: float, batch: int
    ) -> Load:
        # wrk counts whole seconds.
        command = [str(self._wrk), "-t", "1", "-c", str(connections), "-d", f"{seconds:.0f}s"]
        script = str(Path(__file__).with_name("events.lua"))
        command += ["--timeout", "10s", "-s", script, url, "--", str(body), str(batch), "0"]
        printed = self._ground.tool(command, self._environ(), seconds + _SPARE_S)
        return msgspec.json.decode(printed.strip().splitlines()[-1], type=Load)

    def _by_ourselves(
        self, url: str, body: Path, *, connections: int, seconds: float, batch: int
    ) -> Load:
        posters = []
        for place in range(self._processes):
            command = [sys.executable, "-m", "tests.benchmarks.poster", url, str(body)]
            command += ["--connections", str(max(1, connections // self._processes))]
            command += ["--seconds", str(seconds), "--batch", str(batch)]
            command += ["--first", str(place * 2_000_000)]
            posters.append(_Poster(self._ground, f"poster-{place}", command, self._environ()))
        until = time.monotonic() + seconds + _SPARE_S
        loads = [poster.load(until - time.monotonic()) for poster in posters]
        return Load(
            requests=sum(load.requests for load in loads),
            refused=sum(load.refused for load in loads),
            broken=sum(load.broken for load in loads),
            seconds=max(load.seconds for load in loads),
            p50_s=max(load.p50_s for load in loads),
            p99_s=max(load.p99_s for load in loads),
        )


class _Poster:
    """One of our own generating processes."""

    def __init__(
        self, ground: Ground, name: str, command: list[str], environ: dict[str, str]
    ) -> None:
        self._ground = ground
        self._output = ground.folder / f"{name}.log"
        self._output.unlink(missing_ok=True)
        self._process = ground.start(name, command, {**os.environ, **environ})

    def load(self, within_s: float) -> Load:
        code = self._process.wait(max(1.0, within_s))
        self._ground.end(self._process)
        printed = self._output.read_text().strip()
        if code != 0:
            msg = f"the generator failed with exit code {code}: {printed[-2000:]}"
            raise InvalidRunError(msg)
        return msgspec.json.decode(printed.splitlines()[-1], type=Load)
