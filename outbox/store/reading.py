"""Readings: statements and what is made of their rows, written once for callers that await or not.

A reading is a generator: it yields a statement, gets its rows, and at last returns the answer.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, Select
from sqlalchemy.ext.asyncio import AsyncConnection

Answer = TypeVar("Answer")
Reading = Generator[Select[Any], Sequence[RowMapping], Answer]


def run(connection: Connection, reading: Reading[Answer]) -> Answer:
    """Carry out a reading."""
    try:
        statement = next(reading)
        while True:
            statement = reading.send(connection.execute(statement).mappings().all())
    except StopIteration as done:
        answer: Answer = done.value
        return answer


async def run_async(connection: AsyncConnection, reading: Reading[Answer]) -> Answer:
    """Carry out a reading, awaiting."""
    try:
        statement = next(reading)
        while True:
            rows = (await connection.execute(statement)).mappings().all()
            statement = reading.send(rows)
    except StopIteration as done:
        answer: Answer = done.value
        return answer
