"""Verifications: codes that are asked for and guessed, each batch of them in one transaction.

What is stored of a code is a keyed hash, bound to its id; the code itself is in the sealed content
of the notification that brings it, and nowhere else.
"""

from __future__ import annotations

import hmac
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from msgspec import Struct

from outbox.domain import codes_limits
from outbox.domain.codes_checks import (
    CHECKS,
    Checked,
    Standing,
    decoy_left_s,
    judge,
)
from outbox.domain.codes_limits import Asked, Counted, Refused, Used, refusal
from outbox.domain.ids import parse_id, shard_of, shard_of_id
from outbox.domain.intake import NewEvent
from outbox.domain.phones import NOWHERE
from outbox.domain.policy import CODE_HOLDS_S, Codes
from outbox.sealing import Sealer
from outbox.store import codes_stop, usage
from outbox.store.connect import Connection
from outbox.store.intake_rows import b64, due_row, event_row, notification_row
from outbox.store.sql import rows, statement
from outbox.store.suppressions import shard_of_hash

_NO_HASH = bytes(17)
"""Compared with where there is no code: the time that it takes tells nothing."""

_GONE = (None, Standing(over=True, used=False, checks_left=0))
"""One that was cleared away while it was looked for."""


class Wanted(Struct, frozen=True, kw_only=True):
    """A code that is asked for, prepared: all but whether it may be sent."""

    id: UUID
    phone_hashes: Sequence[bytes]
    """Under every look-up key, newest first."""
    country: str
    caller: str
    keys: Mapping[Counted, bytes]
    code_hash: bytes
    event: NewEvent
    """Brings the code; stored only if it may be sent."""


class Limited(Struct, frozen=True):
    """The caller has used up this minute."""

    retry_after_s: int


class Opened(Struct, frozen=True):
    """It is stored; the caller is told the same whether or not the code is sent."""

    expires_at: datetime
    refused: Refused | None
    """For our own figures."""


class Guess(Struct, frozen=True, kw_only=True):
    """A code that somebody brings."""

    id: UUID
    shard: int
    hashes: Sequence[bytes]
    """Of id and code, under every look-up key."""
    caller: str
    key: bytes
    """Under which the caller's guesses are counted."""


def code_hashes(sealer: Sealer, verification: UUID, code: str) -> list[bytes]:
    """Keyed hashes of a code, bound to its id; newest first."""
    return sealer.lookups(f"verification\0{verification}\0{code}")


def named(sealer: Sealer, text: str) -> tuple[UUID, int]:
    """The id that a caller names, and its shard; a stand-in for what is no id of ours."""
    found = parse_id(text)
    if found is not None:
        return found, shard_of_id(found)
    return UUID(bytes=sealer.lookup(f"verification\0{text}")[1:17]), shard_of(text)


async def request(
    connection: Connection,
    wanted: Sequence[Wanted],
    *,
    codes: Codes,
) -> list[Opened | Limited]:
    """Store what is asked for in the open transaction, and send what may be sent."""
    used = await usage.lock(connection, (key for each in wanted for key in each.keys.values()))
    left_s = await usage.minute_left_s(connection)
    opted_out, stopped = await _opted_out(connection, wanted), await codes_stop.now(connection)
    taken: list[tuple[Wanted, Refused | None]] = []
    limited: set[UUID] = set()
    for each in wanted:
        counts = {what: used[key] for what, key in each.keys.items()}
        if not codes_limits.caller_may(counts[Counted.CALLER], codes.per_caller_minute):
            limited.add(each.id)
            continue
        taken.append((each, _refusal(each, counts, opted_out, stopped, codes)))
    expires = await _insert(connection, taken)
    await usage.add(connection, used)
    await _send(connection, [each.event for each, refused in taken if refused is None])
    refusals = {each.id: refused for each, refused in taken}
    return [
        Limited(left_s) if each.id in limited else Opened(expires, refusals[each.id])
        for each in wanted
    ]


def _refusal(
    wanted: Wanted,
    counts: Mapping[Counted, Used],
    opted_out: frozenset[bytes],
    stopped: frozenset[str],
    codes: Codes,
) -> Refused | None:
    asked = Asked(
        country=wanted.country,
        opted_out=not opted_out.isdisjoint(wanted.phone_hashes),
        number=counts[Counted.NUMBER],
        prefix=counts[Counted.PREFIX],
        of_country=counts[Counted.COUNTRY],
        prefix_cost=counts[Counted.PREFIX_COST],
        caller_cost=counts[Counted.CALLER_COST],
        stopped=wanted.country in stopped,
    )
    return refusal(asked, codes)


async def _send(connection: Connection, events: Sequence[NewEvent]) -> None:
    """Put the texts into the outbox."""
    made = [(event, each) for event in events for each in event.notifications]
    for name, values in (
        ("intake_events", [event_row(event) for event in events]),
        (
            "intake_notifications",
            [
                notification_row(each, shard=event.shard, event=event.id, subject=event.subject)
                for event, each in made
            ],
        ),
        ("intake_due", [due_row(each, shard=event.shard) for event, each in made]),
    ):
        if values:
            await connection.execute(statement(name), {"rows": rows(values)})


async def _opted_out(connection: Connection, wanted: Sequence[Wanted]) -> frozenset[bytes]:
    hashes = sorted({each for w in wanted for each in w.phone_hashes})
    values = [{"shard": shard_of_hash(each), "phone_hash": b64(each)} for each in hashes]
    cursor = await connection.execute(
        statement("codes_refusing"), {"rows": rows(values)}, binary=True, prepare=False
    )
    return frozenset(bytes(row[0]) for row in await cursor.fetchall())


async def _insert(
    connection: Connection,
    taken: Sequence[tuple[Wanted, Refused | None]],
) -> datetime:
    """Store them; when all of them end."""
    values = [
        {
            "shard": shard_of_id(each.id),
            "id": each.id,
            "phone_hash": b64(each.phone_hashes[0]),
            "country": each.country,
            "caller": each.caller,
            "code_hash": b64(each.code_hash) if refused is None else None,
            "checks_left": CHECKS,
            "holds_s": CODE_HOLDS_S,
            "notification": each.event.notifications[0].id if refused is None else None,
            "refused": refused,
        }
        for each, refused in taken
    ]
    await connection.execute(statement("codes_insert"), {"rows": rows(values)})
    cursor = await connection.execute("SELECT now() + %s * interval '1 second'", (CODE_HOLDS_S,))
    row = await cursor.fetchone()
    if row is None:
        msg = "SELECT now() returned nothing"
        raise RuntimeError(msg)
    expires: datetime = row[0]
    return expires


async def check(
    connection: Connection,
    guesses: Sequence[Guess],
    *,
    most_a_minute: int,
) -> list[Checked | Limited]:
    """Judge guesses in the open transaction, one after the other in the order that they came."""
    used = await usage.lock(connection, (guess.key for guess in guesses))
    left_s = await usage.minute_left_s(connection)
    may = [codes_limits.caller_may(used[guess.key], most_a_minute) for guess in guesses]
    looked_at = [guess for guess, ok in zip(guesses, may, strict=True) if ok]
    await _pretend(connection, looked_at)
    stored = await _lock(connection, looked_at)
    answers: list[Checked | Limited] = []
    before = {guess.id: stored.get(guess.id, _GONE)[1] for guess in looked_at}
    after = dict(before)
    for guess, ok in zip(guesses, may, strict=True):
        if not ok:
            answers.append(Limited(left_s))
            continue
        code_hash, _ = stored.get(guess.id, _GONE)
        # Every key is compared, so that timing tells nothing about which one fits.
        fits = [hmac.compare_digest(code_hash or _NO_HASH, each) for each in guess.hashes]
        answer, after[guess.id] = judge(after[guess.id], right=code_hash is not None and any(fits))
        answers.append(answer)
    await _write(connection, looked_at, before, after)
    await usage.add(connection, used)
    return answers


async def _write(
    connection: Connection,
    guesses: Sequence[Guess],
    before: Mapping[UUID, Standing],
    after: Mapping[UUID, Standing],
) -> None:
    changed: defaultdict[int, dict[UUID, dict[str, object]]] = defaultdict(dict)
    for guess in guesses:
        standing = after[guess.id]
        if standing != before[guess.id]:
            changed[guess.shard][guess.id] = {
                "id": guess.id,
                "checks_left": standing.checks_left,
                "used": standing.used,
            }
    for shard in sorted(changed):
        values = changed[shard]
        bound = {"shard": shard, "ids": sorted(values), "rows": rows(list(values.values()))}
        await connection.execute(statement("codes_checked"), bound)


async def _pretend(connection: Connection, guesses: Sequence[Guess]) -> None:
    """Give an id that nobody was given a row: it is then answered like a wrong code."""
    now = datetime.now(UTC)
    ordered = sorted({(guess.shard, guess.id): guess for guess in guesses}.items())
    values = [
        {
            "shard": guess.shard,
            "id": guess.id,
            "phone_hash": None,
            "country": NOWHERE,
            "caller": guess.caller,
            "code_hash": None,
            "checks_left": CHECKS,
            "holds_s": decoy_left_s(guess.id, now),
            "notification": None,
            "refused": Refused.UNKNOWN,
        }
        for _, guess in ordered
    ]
    if values:
        await connection.execute(statement("codes_insert"), {"rows": rows(values)})


async def _lock(
    connection: Connection,
    guesses: Sequence[Guess],
) -> dict[UUID, tuple[bytes | None, Standing]]:
    by_shard: defaultdict[int, set[UUID]] = defaultdict(set)
    for guess in guesses:
        by_shard[guess.shard].add(guess.id)
    found: dict[UUID, tuple[bytes | None, Standing]] = {}
    for shard in sorted(by_shard):
        bound = {"shard": shard, "ids": sorted(by_shard[shard])}
        cursor = await connection.execute(statement("codes_lock"), bound, binary=True)
        for each, code_hash, checks_left, over, used in await cursor.fetchall():
            standing = Standing(over=over, used=used, checks_left=checks_left)
            found[each] = (None if code_hash is None else bytes(code_hash), standing)
    return found
