"""Somebody's report that makes the database slow for everybody else."""

from __future__ import annotations

import threading
from contextlib import suppress

import psycopg

_WATCHED = (
    "SELECT max(clock_timestamp() - query_start) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND application_name IN ('pruuf watch', 'pruuf-dashboard')"
)
_HOLD = f"""DO $$ DECLARE waited interval; BEGIN
  FOR round IN 1..100 LOOP
    PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
    waited := ({_WATCHED});
    EXIT WHEN waited > interval '2.1 seconds' OR (waited IS NULL AND round > 10);
  END LOOP;
END $$"""


class Report(threading.Thread):
    """Somebody's report: it locks the outbox again and again, for seconds while anybody watches."""

    def __init__(self, database_url: str) -> None:
        super().__init__(daemon=True)
        self._url = database_url

    def run(self) -> None:
        """Go on until somebody ends it."""
        with (
            suppress(psycopg.Error),
            psycopg.connect(self._url, application_name="report") as report,
        ):
            while True:
                report.execute("LOCK TABLE due IN ACCESS EXCLUSIVE MODE")
                report.execute(_HOLD)
                report.commit()
