"""One box takes anything: what each thing in a person's hand leads to, for the dashboard's role."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Connection

from dashboard.readings import Readings, engine
from outbox.domain.ids import new_id
from outbox.sealing import Sealer
from outbox.store import finding
from outbox.store.finding import Found
from tests.browser.dashboard_rows import Rows, a_day

_SID = "SM" + "0a" * 16
_KEYED = Sealer([b"k" * 32], [b"l" * 32]).lookups("+12025550123")


@pytest.fixture
def fell(database_url: str) -> UUID:
    """A notification that fell back; it went to a number, and Twilio named its text."""
    with psycopg.connect(database_url) as connection:
        identity = a_day(Rows(connection))
        connection.execute(
            "UPDATE notification SET phone_hash = %s WHERE id = %s", (_KEYED[0], identity)
        )
        connection.execute(
            "UPDATE attempt SET provider_id = %s WHERE notification = %s AND step = 0",
            (_SID, identity),
        )
    return identity


def _look(database_url: str, typed: str) -> Found:
    def ask(connection: Connection) -> Found:
        if typed == "number":
            return finding.of_number(connection, _KEYED)
        return finding.look(connection, typed)

    try:
        return Readings(database_url).read(typed, ask)
    finally:
        engine(database_url).dispose()


def test_everything_leads_to_the_one_that_is_meant(database_url: str, fell: UUID) -> None:
    told = _look(database_url, str(fell)).told
    assert told is not None
    for typed in (str(told.event_id), told.recipient, told.subject, _SID, "number"):
        found = _look(database_url, typed).told
        assert found is not None, typed
        assert found.id == fell, typed


def test_several_are_listed_the_newest_first(database_url: str, fell: UUID) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE notification SET recipient = 'c_same'")
    found = _look(database_url, "c_same")
    assert found.told is None
    assert len(found.others) == 15
    assert found.others == sorted(found.others, key=lambda each: each.id, reverse=True)
    assert fell in {each.id for each in found.others}


@pytest.mark.parametrize(
    "typed",
    # Every worker of a run has to name the same tests.
    ["c_99", pytest.param(str(new_id(3)), id="of nobody"), "SM" + "f" * 32, "x'; --", "ü" * 200],
)
def test_what_nobody_knows_is_nothing(database_url: str, typed: str) -> None:
    found = _look(database_url, typed)
    assert (found.told, found.event, list(found.others)) == (None, None, [])


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+12025550123", "+12025550123"),
        ("+1 (202) 555-0123", "+12025550123"),
        ("2025550123", None),
        ("+1", None),
        ("c_1", None),
    ],
)
def test_a_number_is_told_from_an_id(typed: str, number: str | None) -> None:
    assert finding.number_in(typed) == number
