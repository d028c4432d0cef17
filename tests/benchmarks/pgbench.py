"""The limit of the database: pgbench inserts a narrow row of the event's size, durably."""

from __future__ import annotations

import re
from pathlib import Path

from psycopg import sql

from tests.benchmarks.events import filled, template
from tests.benchmarks.ground import LONGEST_S, Ground, InvalidRunError

_TABLE = """
CREATE TABLE raw_event (
  shard smallint NOT NULL, id uuid NOT NULL, source text NOT NULL, source_id text NOT NULL,
  accepted_at timestamptz NOT NULL DEFAULT now(), data bytea NOT NULL,
  PRIMARY KEY (shard, id))
WITH (autovacuum_enabled = off)
"""
_EMPTY = "TRUNCATE raw_event"
# As narrow as an accepted event can be: its own id, who sent it, its bytes, one index.
_INSERT = r"""
\set n random(1, 1000000000)
INSERT INTO raw_event (shard, id, source, source_id, data)
SELECT :n % 16, uuidv7(), 'bench', :n || '-' || i, decode(repeat('ab', {size}), 'hex')
FROM generate_series(1, {rows}) i;
"""
_TPS = re.compile(r"^tps = (?P<tps>[\d.]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (?P<failed>\d+)", re.MULTILINE)
_SPARE_S = 30.0


class RawInserts:
    """A database of its own that only pgbench writes to."""

    def __init__(self, ground: Ground) -> None:
        """Make its table."""
        self._ground = ground
        self._database = ground.database("template1")
        ground.execute(ground.url(self._database), sql.SQL(_TABLE))

    def rows_per_s(self, *, rows: int, connections: int, seconds: float) -> float:
        """Rows a second, ``rows`` of them in each commit."""
        # Its millions of rows, vacuumed later, would be work in other rounds.
        self._ground.execute(self._ground.url(self._database), sql.SQL(_EMPTY))
        self._ground.checkpoint()
        script = self._ground.folder / "insert.sql"
        script.write_text(_INSERT.format(size=len(filled(template("bench-0"), 0)), rows=rows))
        tps = self._tps(script, connections=connections, seconds=seconds)
        self._ground.execute(self._ground.url(self._database), sql.SQL(_EMPTY))
        return tps * rows

    def _tps(self, script: Path, *, connections: int, seconds: float) -> float:
        printed = self._ground.tool(
            [
                str(self._ground.program("pgbench")),
                "--no-vacuum",
                "--protocol=prepared",
                f"--client={connections}",
                "--jobs=1",
                f"--time={max(1, round(seconds))}",
                f"--file={script}",
                self._ground.url(self._database),
            ],
            {},
            seconds + _SPARE_S,
        )
        tps, failed = _TPS.search(printed), _FAILED.search(printed)
        if failed is not None and int(failed["failed"]):
            msg = f"pgbench had failures: {printed[-1000:]}"
            raise InvalidRunError(msg)
        if tps is not None:
            return float(tps["tps"])
        if seconds > LONGEST_S:
            msg = f"pgbench committed nothing in {seconds:g} s"
            raise InvalidRunError(msg)
        # A machine so busy that not one commit fitted in.
        return self._tps(script, connections=connections, seconds=seconds * 2)

    def end(self) -> None:
        """Drop the database."""
        self._ground.drop(self._database)
