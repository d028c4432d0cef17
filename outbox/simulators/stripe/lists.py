"""Pages of lists, searches, and the expansion of ids into their objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from outbox.simulators.stripe.errors import invalid, outage
from outbox.simulators.stripe.forms import Params, bounded
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Page, World

_MOST = 100
_DEFAULT = 10
PAGING = ("limit", "starting_after", "ending_before")

_QUOTED = r"""(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")"""
_CLAUSE = re.compile(
    rf"""\s*(-?)(\w+)(?:\[{_QUOTED}\])?\s*([:~<>]=?)\s*(?:{_QUOTED}|(\w+))\s*(AND|OR|$)""",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def limit(params: Params) -> int:
    """How many rows of a page."""
    wanted = params.integer("limit", least=1)
    if wanted is not None and wanted > _MOST:
        raise invalid("limit", "This value must be less than or equal to 100.")
    return wanted or _DEFAULT


def page(call: Call, newest_first: Iterable[Object], find: Callable[[str], object]) -> Page:
    """One page; ``find`` raises for a cursor that is no object."""
    params, size = call.params, limit(call.params)
    after, before = params.text("starting_after"), params.text("ending_before")
    for cursor, name in ((after, "starting_after"), (before, "ending_before")):
        if cursor is not None:
            find_cursor(find, cursor, name)
    rows = iter(newest_first)
    if before is not None:
        newer = []
        for row in rows:
            if row["id"] == before:
                break
            newer.append(row)
        return Page(newer[-size:], has_more=len(newer) > size, url=call.path)
    if after is not None:
        for row in rows:
            if row["id"] == after:
                break
    found = list(islice(rows, size + 1))
    return Page(found[:size], has_more=len(found) > size, url=call.path)


def find_cursor(find: Callable[[str], object], cursor: str, name: str) -> None:
    """Refuse a cursor that names nothing."""
    if find(cursor) is None:
        raise invalid(name, f"No such object: '{cursor}'", "resource_missing")


def objects(  # noqa: PLR0913 - what a list may be asked for
    world: World,
    call: Call,
    kind: str,
    *,
    parents: tuple[str, ...] = (),
    equal: tuple[str, ...] = (),
    times: tuple[str, ...] = ("created",),
    more: tuple[str, ...] = (),
    accept: Callable[[Object], bool] = lambda _: True,
) -> Page:
    """A page of the objects of a kind, by the fields that were asked for."""
    params = call.params.only(*PAGING, *parents, *equal, *times, *more)
    wanted = {name: value for name in (*parents, *equal) if (value := params.text(name))}
    by = next((wanted[name] for name in parents if name in wanted), None)
    everything = reversed(world.store.all(kind).values())
    rows = everything if by is None else world.store.of(kind, by)
    asked = [name for name in times if name in params]
    chosen = (
        row
        for row in rows
        if not row.get("deleted")
        and all(row.get(name) == value for name, value in wanted.items())
        and all(bounded(params, name, row[name]) for name in asked)
        and accept(row)
    )
    return page(call, chosen, lambda name: world.store.get(kind, name))


def search(world: World, call: Call, kind: str) -> Page:
    """A search by metadata and fields, as ``metadata['a']:'b' AND email:'c'``."""
    params = call.params.only("query", "limit", "page")
    accepts = _query(params.needed("query"))
    size, start = limit(params), params.integer("page") or 0
    if world.faults.list_fails("stripe"):
        raise outage(503, None, None)
    lag_s = world.faults.lists("stripe").lag_ms / 1000
    rows = [
        row
        for row in reversed(world.store.all(kind).values())
        if not row.get("deleted")
        and accepts(row)
        and not (lag_s and row["created"] > world.now(row) - lag_s)
    ]
    end = start + size
    return Page(
        rows[start:end],
        has_more=len(rows) > end,
        url=call.path,
        search=True,
        next_page=str(end) if len(rows) > end else None,
    )


def _query(text: str) -> Callable[[Object], bool]:
    tests, joins, place = [], set(), 0
    while place < len(text):
        found = _CLAUSE.match(text, place)
        if found is None:
            raise invalid("query", "We were unable to parse your search query.")
        tests.append(_test(found))
        joins.add(found[9])
        place = found.end()
    either = any if "OR" in joins else all
    return lambda row: either(test(row) for test in tests)


def _unescaped(single: str | None, double: str | None) -> str | None:
    """What stood in quotes; null where nothing did."""
    quoted = double if single is None else single
    return None if quoted is None else _ESCAPED.sub(r"\1", quoted)


def _test(found: re.Match[str]) -> Callable[[Object], bool]:
    negated, field, *keys, operator, single, double, bare, _ = found.groups()
    key, quoted = _unescaped(*keys), _unescaped(single, double)
    wanted = bare if quoted is None else quoted

    def value(row: Object) -> Any:  # noqa: ANN401 - JSON
        inner = row.get(field)
        return inner.get(key) if key is not None and isinstance(inner, dict) else inner

    def accepts(row: Object) -> bool:
        has = value(row)
        if wanted == "null" and quoted is None:
            return has is None
        if has is None:
            return False
        if operator == ":":
            return str(has).lower() == wanted.lower()
        if operator == "~":
            return wanted.lower() in str(has).lower()
        number, than = float(has), float(wanted)
        ordered = number > than if operator[0] == ">" else number < than
        return ordered or (operator.endswith("=") and number == than)

    return (lambda row: not accepts(row)) if negated else accepts
