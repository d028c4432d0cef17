"""Batches, and events that say less than others: who is told in the end."""

from __future__ import annotations

import json
from typing import Any

from litestar import Litestar
from litestar.testing import AsyncTestClient

from .conftest import (
    ALICE,
    BATCH,
    BOB,
    CAROL,
    confirmed,
    invited,
    missed,
    nothing_is_written,
    rows,
)
from .test_api_problems import assert_problem

_PATH = "/v1/events"
_TYPE = {"content-type": BATCH}
_STEPS = (
    "SELECT n.recipient, d.step, d.lane FROM due d JOIN notification n ON n.id = d.notification"
)


def bad() -> dict[str, Any]:
    broken = missed()
    del broken["data"]["due_at"]
    return broken


async def test_answers_come_in_order(api: AsyncTestClient[Litestar], database_url: str) -> None:
    batch = [make() for _ in range(20) for make in (confirmed, invited)]
    answer = await api.post(_PATH, json=batch, headers=_TYPE)
    assert answer.status_code == 202
    assert answer.json().keys() == {"results"}
    stored = dict(rows(database_url, "SELECT id::text, source_id FROM event"))
    results = answer.json()["results"]
    assert [stored[result["event_id"]] for result in results] == [each["id"] for each in batch]
    kinds = [result["notifications"][0]["kind"] for result in results]
    assert kinds == [each["type"] for each in batch]


async def test_one_bad_event_refuses_all(api: AsyncTestClient[Litestar], database_url: str) -> None:
    known = missed(id="known")
    assert (await api.post(_PATH, json=known)).status_code == 202
    conflict = {**known, "time": "2026-11-23T09:00:01Z"}
    stranger = confirmed({"id": "nobody"})
    batches: list[tuple[list[Any], int, str, list[tuple[int, str]]]] = [
        ([confirmed(), bad(), bad()], 400, "invalid", [(1, "$.data.due_at")]),
        ([missed(), confirmed(), 5], 400, "invalid", [(2, "$")]),
        (
            [stranger, missed(), missed(subject="m_2")],
            400,
            "invalid",
            [
                (0, "$.data.contacts[0].phone"),
                (2, "$.subject"),
            ],
        ),
        ([confirmed(), missed(), conflict], 422, "key-reused", [(2, "$.id")]),
        ([missed(id="x"), confirmed(id="x")], 422, "key-reused", [(1, "$.id")]),
    ]
    with nothing_is_written(database_url):
        for batch, status, name, where in batches:
            answer = await api.post(_PATH, json=batch, headers=_TYPE)
            problem = assert_problem(answer, status, name)
            assert [(error["index"], error["path"]) for error in problem["errors"]] == where
            assert f"event {where[0][0]}" in problem["detail"]


async def test_from_one_to_five_hundred(api: AsyncTestClient[Litestar], database_url: str) -> None:
    with nothing_is_written(database_url):
        for wrong in ([], [confirmed() for _ in range(501)], confirmed(), {}):
            answer = await api.post(_PATH, json=wrong, headers=_TYPE)
            [error] = assert_problem(answer, 400, "invalid")["errors"]
            assert error["path"] == "$"
            assert error["accepted"] == "an array of 1 to 500 items"
        # An array is no single event.
        answer = await api.post(_PATH, json=[confirmed()])
        assert_problem(answer, 400, "invalid")
    answer = await api.post(_PATH, json=[confirmed() for _ in range(500)], headers=_TYPE)
    assert answer.status_code == 202
    assert len(answer.json()["results"]) == 500
    assert rows(database_url, "SELECT count(*) FROM due") == [(500,)]


async def test_the_same_event_twice_in_one_batch(api: AsyncTestClient[Litestar]) -> None:
    for once in (missed(), confirmed()):
        answer = await api.post(_PATH, json=[once, once, once], headers=_TYPE)
        assert answer.status_code == 202
        first, *others = answer.json()["results"]
        assert first["duplicate"] is False
        assert others == [{**first, "duplicate": True}] * 2
        assert "idempotent-replay" not in answer.headers


async def test_one_wrong_number_does_not_refuse_an_alert(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    wrong = [
        {**BOB, "id": f"w{n}", "phone": phone}
        for n, phone in enumerate(
            ("12025550123", "+1202555", "call me", "+999999999999999", "+1 202 555 0123")
        )
    ]
    answer = await api.post(_PATH, json=missed(CAROL, *wrong, {"id": "unknown"}))
    assert answer.status_code == 202
    told = [each["recipient"] for each in answer.json()["notifications"]]
    assert told == ["c_2", "w0", "w1", "w2", "w3", "w4", "unknown"]
    # Step 0 is the SMS, step 1 the push.
    steps = {recipient: step for recipient, step, _ in rows(database_url, _STEPS)}
    assert steps == {"c_2": 0, **dict.fromkeys(told[1:], 1)}
    assert {lane for _, _, lane in rows(database_url, _STEPS)} == {0}


async def test_contacts_by_id_are_those_that_are_stored(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    await api.put("/v1/recipients/c_1", json={"phone": BOB["phone"], "locale": "es"})
    await api.put("/v1/recipients/c_2", json={"name": "Carol"})
    answer = await api.post(_PATH, json=missed({"id": "c_1"}, {"id": "c_2"}, {"id": "c_3"}))
    assert [n["recipient"] for n in answer.json()["notifications"]] == ["c_1", "c_2", "c_3"]
    steps = {recipient: step for recipient, step, _ in rows(database_url, _STEPS)}
    assert steps == {"c_1": 0, "c_2": 1, "c_3": 1}
    locales = dict(rows(database_url, "SELECT recipient, locale FROM notification"))
    assert locales["c_1"].startswith("es")
    # A note may be sent to a stored recipient, but not to a stranger.
    assert (await api.post(_PATH, json=confirmed({"id": "c_1"}))).status_code == 202
    assert_problem(await api.post(_PATH, json=confirmed({"id": "c_3"})), 400, "invalid")


async def test_a_contact_who_is_named_twice_is_told_once(api: AsyncTestClient[Litestar]) -> None:
    for make in (missed, confirmed):
        answer = await api.post(_PATH, json=make(BOB, CAROL, {**BOB, "name": "Robert"}))
        told = [n["recipient"] for n in answer.json()["notifications"]]
        assert told == ["c_1", "c_2"]


async def test_an_alert_without_contacts_pages_the_operator(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    alone = missed()
    alone["data"]["contacts"] = []
    answer = await api.post(_PATH, json=alone)
    assert answer.status_code == 202
    [page] = answer.json()["notifications"]
    assert (page["recipient"], page["kind"], page["lane"]) == (
        "operator",
        "operator.page",
        "safety",
    )
    again = await api.post(_PATH, json=alone)
    assert again.json() == {**answer.json(), "duplicate": True}
    # Nobody to tell of a check-in is no fault.
    quiet = confirmed()
    quiet["data"] = {**quiet["data"], "contacts": [], "at": "2026-11-23T08:00:00Z"}
    assert (await api.post(_PATH, json=quiet)).json()["notifications"] == []


async def test_an_alert_older_than_the_last_check_in_is_superseded(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    late = confirmed()
    late["data"]["at"] = "2026-11-23T08:30:00Z"
    await api.post(_PATH, json=late)
    answer = await api.post(_PATH, json=missed())
    [notification] = answer.json()["notifications"]
    read = (await api.get(f"/v1/notifications/{notification['id']}")).json()
    assert (read["state"], read["reason"]) == ("cancelled", "superseded")
    assert rows(database_url, "SELECT count(*) FROM due WHERE lane = 0") == [(0,)]


async def test_a_number_of_the_size_of_a_body_is_no_trouble(
    api: AsyncTestClient[Litestar],
) -> None:
    digits = json.dumps(missed()).replace('"+12025550100"', "9" * 500_000)
    answer = await api.post(_PATH, content=digits, headers={"content-type": "application/json"})
    [error] = assert_problem(answer, 400, "invalid")["errors"]
    assert error["path"] == "$.data.member.phone"
    assert ALICE["phone"] not in answer.text
