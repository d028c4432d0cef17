"""When an erasure is at its end, who is told of that, and what is said of it."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

from outbox.sealing import Sealer
from outbox.store import erasures
from tests.integration.billing_world import World
from tests.unit.test_runbooks import RUNBOOKS

from .audit_world import audited, named
from .billing_lives import life, stripe_url
from .conftest import MakeKey
from .erasure_world import ALICE, BOB, HELD, TOKEN, confirmed, erase, scan, settled, to_rest
from .following_world import world as following

__all__ = ["life", "settled", "stripe_url"]


async def test_it_is_told_whether_it_is_done(life: World, database_url: str) -> None:
    by_hand = life.relay
    with psycopg.connect(database_url) as reader:
        assert erasures.standing(reader) == []
    await confirmed(life, ALICE, BOB)
    await by_hand.work()
    await erase(life)
    await by_hand.parts.housekeeping.erasing.turn()
    with psycopg.connect(database_url) as reader:
        (stands,) = erasures.standing(reader)
    assert (stands.recipient, stands.waits_for, stands.done_at) == ("c_bob", "notifications", None)
    await to_rest(by_hand)
    with psycopg.connect(database_url) as reader:
        assert erasures.standing(reader) == []
        (stands,) = erasures.standing(reader, ["c_bob"])
    assert stands.done_at is not None
    # What was missed, an audit tells.
    by_hand._owner.execute("UPDATE notification SET phone_hash = '\\x00'")
    assert ("erasure_incomplete", "erasure", "c_bob") in named(
        await audited(by_hand.settings, shards=None)
    )


async def test_a_relay_carries_it_through_by_itself(
    tmp_path: Path, database_url: str, make_key: MakeKey
) -> None:
    async with following(tmp_path, database_url, make_key) as at:
        sealer = Sealer(at.settings.keys, at.settings.lookup_keys)
        await at.device("c_bob", address=TOKEN)
        async with at.relay():
            await at.follow("c_bob")
            await at.settled()
            assert ("notification", "content") in scan(database_url, sealer)
            await at.ok("DELETE", "/v1/recipients/c_bob")
            done = "SELECT FROM erasure WHERE done_at IS NOT NULL"
            await at.until(lambda: bool(at.rows(done)), "not erased")
        # What it followed it follows no more.
        assert TOKEN not in str(await at.members())
    assert scan(database_url, sealer) == set()


async def test_it_is_not_at_its_end_while_something_of_before_may_still_be_stored(
    life: World, database_url: str
) -> None:
    by_hand = life.relay
    with psycopg.connect(database_url) as late:
        # Like an event whose commit waits for its standby.
        late.execute("UPDATE lane SET low = low WHERE shard = 0")
        await erase(life)
        await by_hand.parts.housekeeping.erasing.turn()
        assert by_hand.rows("SELECT waits_for FROM erasure") == [("transactions",)]
        late.commit()
    await to_rest(by_hand)


def test_the_page_about_personal_data_names_every_sealed_column() -> None:
    versions = RUNBOOKS.parent / "outbox" / "store" / "migrations" / "versions"
    sealed: set[str] = set()
    for path in sorted(versions.glob("*.sql")):
        for table, columns in re.findall(
            r"CREATE TABLE (\w+) \((.*?)^\)", path.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            names = re.findall(r"^  (\w+) bytea.*-- (?:sealed)", columns, re.MULTILINE)
            sealed |= {f"{table}.{name}" for name in names}
    assert sealed == {f"{table}.{column}" for table, column in HELD}
    page = (RUNBOOKS / "reference" / "personal-data.md").read_text("utf-8")
    first = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`([^`]+)`", " ".join(first))) == sealed
