"""What an accepted event becomes, and what is kept of it."""

from __future__ import annotations

from litestar import Litestar
from litestar.testing import AsyncTestClient

from .conftest import BOB, CAROL, confirmed, invited, missed, rows

_PATH = "/v1/events"


async def test_extension_attributes_are_ignored(api: AsyncTestClient[Litestar]) -> None:
    once = missed(traceparent="00-x", partitionkey=5, dataschema="https://x.example", pii={"a": []})
    first = await api.post(_PATH, json=once)
    assert first.status_code == 202, first.text
    again = await api.post(_PATH, json=missed(id=once["id"], colour="red"))
    assert again.json()["duplicate"] is True


async def test_what_becomes_of_each_kind(api: AsyncTestClient[Litestar], database_url: str) -> None:
    found = {}
    for posted in (missed(BOB, CAROL), confirmed(BOB, CAROL, subject="m_1"), invited()):
        answer = await api.post(_PATH, json=posted)
        assert answer.status_code == 202, answer.text
        assert "idempotent-replay" not in answer.headers
        body = answer.json()
        assert body.keys() == {"event_id", "duplicate", "notifications"}
        assert body["duplicate"] is False
        for notification in body["notifications"]:
            assert notification.keys() == {"id", "recipient", "kind", "lane"}
        found[posted["type"]] = [
            (n["recipient"][:6], n["kind"], n["lane"]) for n in body["notifications"]
        ]
    assert found == {
        "checkin.missed": [
            ("c_1", "checkin.missed", "safety"),
            ("c_2", "checkin.missed", "safety"),
        ],
        "checkin.confirmed": [
            ("c_1", "checkin.confirmed", "transactional"),
            ("c_2", "checkin.confirmed", "transactional"),
        ],
        "member.invited": [("phone:", "member.invited", "transactional")],
    }
    assert rows(database_url, "SELECT count(*) FROM due") == [(5,)]


async def test_nothing_personal_is_stored_in_clear(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    for posted in (missed(), confirmed(CAROL), invited()):
        assert (await api.post(_PATH, json=posted)).status_code == 202
    for table in ("event", "event_key", "notification", "due", "alert"):
        stored = " ".join(row[0] for row in rows(database_url, f"SELECT t::text FROM {table} t"))
        for value in ("Alice", "Bob", "Carol", "2025550", "HX7"):
            assert value not in stored
            assert value.encode().hex() not in stored


async def test_a_trace_is_kept_and_what_is_none_refuses_nothing(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    nobody = f"00-{'0' * 32}-00f067aa0ba902b7-01"
    for header in (trace, "00-4bf9", "x" * 5000, trace + "-more", trace.upper(), nobody):
        answer = await api.post(_PATH, json=missed(), headers={"traceparent": header})
        assert answer.status_code == 202
    state = "vendor=00f067aa0ba902b7,other=t61"
    for given in (state, "x" * 5000):
        headers = {"traceparent": trace, "tracestate": given}
        assert (await api.post(_PATH, json=missed(), headers=headers)).status_code == 202
    kept = rows(database_url, "SELECT traceparent, tracestate FROM event ORDER BY id")
    assert kept == [(trace, None), *[(None, None)] * 5, (trace, state), (trace, None)]
