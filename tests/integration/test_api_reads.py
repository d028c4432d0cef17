"""What is read back: the shapes that programs rely on, and lists that lose and repeat nothing."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import psycopg
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from .conftest import BATCH, BOB, CAROL, confirmed, missed, rows

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
_NOTIFICATION = {
    "id",
    "event_id",
    "kind",
    "recipient",
    "lane",
    "state",
    "reason",
    "proof",
    "step",
    "attempts",
    "created_at",
    "final_at",
    "expires_at",
    "next_at",
    "plan",
    "timeline",
}
_ENTRY = {"at", "what", "channel", "step", "provider", "provider_id", "outcome", "code", "detail"}
_EVENT = {"event_id", "id", "source", "type", "subject", "accepted_at", "notifications"}


async def post(api: AsyncTestClient[Litestar], event: dict[str, Any]) -> dict[str, Any]:
    answer = await api.post("/v1/events", json=event)
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def listed(api: AsyncTestClient[Litestar], **query: Any) -> list[Any]:  # noqa: ANN401
    """All parts of a list."""
    items: list[Any] = []
    cursor = None
    while True:
        params = {**query, **({"cursor": cursor} if cursor else {})}
        answer = await api.get("/v1/notifications", params=params)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body.keys() >= {"items", "next"}
        assert len(body["items"]) <= query.get("limit", 50)
        items += body["items"]
        cursor = body["next"]
        if cursor is None:
            return items
        assert len(body["items"]) == query.get("limit", 50)


async def test_an_event_and_what_it_became(api: AsyncTestClient[Litestar]) -> None:
    posted = missed(BOB, CAROL)
    accepted = await post(api, posted)
    read = (await api.get(f"/v1/events/{accepted['event_id']}")).json()
    assert read.keys() >= _EVENT
    assert read["event_id"] == accepted["event_id"]
    for name in ("id", "source", "type", "subject"):
        assert read[name] == posted[name]
    assert _TIME.match(read["accepted_at"])
    told = sorted(accepted["notifications"], key=lambda notification: str(notification["id"]))
    assert read["notifications"] == [
        {"id": n["id"], "recipient": n["recipient"], "kind": n["kind"], "state": "pending"}
        for n in told
    ]


async def test_a_notification_with_its_story(api: AsyncTestClient[Litestar]) -> None:
    accepted = await post(api, missed(BOB))
    [notification] = accepted["notifications"]
    read = (await api.get(f"/v1/notifications/{notification['id']}")).json()
    assert read.keys() >= _NOTIFICATION
    assert read["event_id"] == accepted["event_id"]
    assert (read["kind"], read["recipient"], read["lane"]) == ("checkin.missed", "c_1", "safety")
    assert (read["state"], read["step"], read["attempts"]) == ("pending", 0, 0)
    assert (read["reason"], read["proof"], read["final_at"]) == (None, None, None)
    for name in ("created_at", "expires_at", "next_at"):
        assert _TIME.match(read[name])
    for step in read["plan"]:
        assert step.keys() >= {"channel", "receipt_within_s"}
    assert [step["channel"] for step in read["plan"]][:2] == ["sms", "push"]
    [entry] = read["timeline"]
    assert entry.keys() >= _ENTRY
    assert entry["what"] == "accepted"
    assert _TIME.match(entry["at"])


async def test_nothing_personal_is_read_back(api: AsyncTestClient[Litestar]) -> None:
    accepted = await post(api, missed(BOB))
    [notification] = accepted["notifications"]
    for path in (
        f"/v1/events/{accepted['event_id']}",
        f"/v1/notifications/{notification['id']}",
        "/v1/notifications",
    ):
        answer = await api.get(path)
        for value in ("Alice", "Bob", "202555"):
            assert value not in answer.text


@pytest.fixture
async def many(api: AsyncTestClient[Litestar], database_url: str) -> list[str]:
    """Ids of 120 notifications, newest first; many of the same instant."""
    ids: list[str] = []
    for _ in range(3):
        batch = [confirmed({**BOB, "id": f"c{k % 5}"}, subject="m_1") for k in range(40)]
        headers = {"content-type": BATCH}
        answer = await api.post("/v1/events", json=batch, headers=headers)
        results = answer.json()["results"]
        ids += [result["notifications"][0]["id"] for result in results]
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE notification SET created_at = now()")
    instants = Counter(id_[:13] for id_ in ids)
    assert max(instants.values()) > 5, "no two ids are of the same millisecond"
    return sorted(ids, reverse=True)


@pytest.mark.parametrize("limit", [1, 7, 60, 119, 120, 121, 200])
async def test_parts_of_any_size_make_the_whole(
    api: AsyncTestClient[Litestar], many: list[str], limit: int
) -> None:
    assert [item["id"] for item in await listed(api, limit=limit)] == many


async def test_what_arrives_meanwhile_moves_nothing(
    api: AsyncTestClient[Litestar], many: list[str]
) -> None:
    first = (await api.get("/v1/notifications", params={"limit": 50})).json()
    for _ in range(5):
        await post(api, confirmed(CAROL))
    rest = await listed(api, limit=50, cursor=first["next"])
    assert [item["id"] for item in first["items"]] == many[:50]
    # `listed` went on from its own cursors; the first part is the one that was asked for.
    assert [item["id"] for item in rest][:70] == many[50:]


async def test_filters(api: AsyncTestClient[Litestar], many: list[str], database_url: str) -> None:
    alert = await post(api, missed(BOB))
    [urgent] = [n["id"] for n in alert["notifications"]]
    assert [i["id"] for i in await listed(api, kind="checkin.missed")] == [urgent]
    of_one = await listed(api, recipient="c3", limit=10)
    assert len(of_one) == 24
    assert {item["recipient"] for item in of_one} == {"c3"}
    assert len(await listed(api, state="pending", limit=200)) == 121
    assert await listed(api, state="delivered") == []
    assert len(await listed(api, state="pending", kind="checkin.confirmed", recipient="c3")) == 24
    [(now,)] = rows(database_url, "SELECT created_at FROM notification WHERE kind LIKE '%missed'")
    for since in (now.isoformat(), now.isoformat().replace("+00:00", "Z")):
        assert [i["id"] for i in await listed(api, since=since)] == [urgent]
    assert await listed(api, since="2099-01-01T00:00:00Z") == []
    assert len(await listed(api, since="1970-01-01T00:00:00Z", limit=200)) == 121
    for item in of_one:
        assert item.keys() >= _NOTIFICATION - {"attempts", "plan", "timeline"}
