"""Hot SQL, one named statement a file; each says why it is shaped so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from uuid import UUID

import msgspec


@cache
def statement(name: str) -> bytes:
    """Text of ``name``.sql; bytes, as psycopg wants what no user has touched."""
    return resources.files(__package__).joinpath(f"{name}.sql").read_bytes()


def rows(values: Sequence[object]) -> str:
    """JSON for ``json_to_recordset``."""
    return msgspec.json.encode(values).decode()


def id_range(ids: Iterable[UUID]) -> Mapping[str, UUID]:
    """Bounds that let a statement prune to the partitions of these ids."""
    ordered = sorted(ids)
    return {"low_id": ordered[0], "high_id": ordered[-1]}
