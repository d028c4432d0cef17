"""The queries that the runbooks tell to run are run, as they stand."""

from __future__ import annotations

import psycopg

from tests.unit.test_runbooks import RUNBOOKS, commands


def test_every_query_of_a_runbook_runs(database_url: str) -> None:
    queries = [
        words[words.index("-c") + 1]
        for path in sorted(RUNBOOKS.glob("*.md"))
        for words in commands(path.read_text(encoding="utf-8"))
        if words[0] == "psql"
    ]
    assert queries
    with psycopg.connect(database_url) as connection:
        for query in queries:
            # No process has this number.
            connection.execute(query.replace("PID", "0").encode())
