"""One-time codes over HTTP, against the real database: what is told, what is kept, what is not."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import psycopg
import pytest

from outbox.domain.ids import new_id, shard_of_id
from outbox.settings import Settings
from outbox.store.keys import Scope

from .codes import PATH, PHONE, Api, Limited, Outbox, asked, gateways, guessed, wrong
from .conftest import MakeKey, rows
from .test_api_problems import assert_problem


@pytest.fixture
def outbox(settings: Settings) -> Outbox:
    return Outbox(settings)


@pytest.fixture
async def limited(settings: Settings, make_key: MakeKey) -> AsyncIterator[Limited]:
    async with gateways(settings, make_key) as make:
        yield make


async def test_a_code_is_sent_and_approved_once(api: Api, outbox: Outbox) -> None:
    opened = await asked(api)
    sent = outbox.sent(opened["id"])
    assert sent is not None
    assert re.fullmatch(r"[0-9]{6}", sent.code)
    assert sent.phone == PHONE
    assert sent.text.startswith(f"{sent.code} is your Pruuf code")
    assert await guessed(api, opened["id"], wrong(sent.code)) == ("pending", 4)
    assert await guessed(api, opened["id"], sent.code) == ("approved", 0)
    assert await guessed(api, opened["id"], sent.code) == ("expired", 0)


async def test_the_text_goes_out_by_sms_in_its_own_lane_and_for_ten_minutes(
    api: Api, database_url: str
) -> None:
    await asked(api)
    [row] = rows(
        database_url,
        "SELECT kind, n.lane, convert_from(plan, 'UTF8')::json -> 'steps',"
        " expires_at - created_at, d.lane, phone_hash IS NOT NULL"
        " FROM notification n JOIN due d ON d.notification = n.id",
    )
    kind, lane, steps, holds, due_lane, has_hash = row
    assert (kind, lane, due_lane, has_hash) == ("verification.code", 1, 1, True)
    assert [step["channel"] for step in steps] == ["sms"]
    assert holds.total_seconds() == 600
    [(ends,)] = rows(database_url, "SELECT expires_at - created_at FROM verification")
    assert ends.total_seconds() == 600


async def test_the_text_speaks_the_language(api: Api, outbox: Outbox) -> None:
    opened = await asked(api, locale="es-MX")
    sent = outbox.sent(opened["id"])
    assert sent is not None
    assert sent.text.startswith(f"{sent.code} es su clave de Pruuf")
    assert not re.search(r"[.:/@]\S", sent.text)


async def test_five_guesses_and_no_more(api: Api, outbox: Outbox) -> None:
    opened = await asked(api)
    code = outbox.code(opened["id"])
    answers = [await guessed(api, opened["id"], wrong(code, turn)) for turn in range(1, 7)]
    assert answers == [
        ("pending", 4),
        ("pending", 3),
        ("pending", 2),
        ("pending", 1),
        ("blocked", 0),
        ("blocked", 0),
    ]
    assert await guessed(api, opened["id"], code) == ("blocked", 0)


@pytest.mark.parametrize("gateways", [1, 2])
async def test_fifty_guesses_at_once_are_five(
    gateways: int, outbox: Outbox, limited: Limited
) -> None:
    clients = [await limited() for _ in range(gateways)]
    opened = await asked(clients[0])
    code = outbox.code(opened["id"])
    # The right one comes last: in whatever order, it is among fifty.
    guesses = [wrong(code, turn) for turn in range(1, 50)] + [code]
    answers = await asyncio.gather(
        *(guessed(clients[n % gateways], opened["id"], each) for n, each in enumerate(guesses))
    )
    tried = [answer for answer in answers if answer != ("blocked", 0)]
    told = Counter(answers)
    if ("approved", 0) in answers:
        assert len([a for a in answers if a[0] == "pending"]) <= 4
    else:
        assert sorted(tried) == [("pending", left) for left in (1, 2, 3, 4)]
        assert told["blocked", 0] == 46
    [(left, approved)] = rows(
        outbox.url, "SELECT checks_left, approved_at IS NOT NULL FROM verification"
    )
    assert left == (0 if not approved else left)
    assert approved == (("approved", 0) in answers)


async def test_the_right_code_brought_fifty_times_at_once_is_approved_once(
    api: Api, outbox: Outbox
) -> None:
    opened = await asked(api)
    code = outbox.code(opened["id"])
    answers = await asyncio.gather(*(guessed(api, opened["id"], code) for _ in range(50)))
    assert Counter(answers) == {("approved", 0): 1, ("expired", 0): 49}


async def test_a_code_is_over_after_its_time(api: Api, outbox: Outbox) -> None:
    opened = await asked(api)
    code = outbox.code(opened["id"])
    with psycopg.connect(outbox.url) as connection:
        connection.execute("UPDATE verification SET expires_at = now()")
    assert await guessed(api, opened["id"], wrong(code)) == ("expired", 0)
    assert await guessed(api, opened["id"], code) == ("expired", 0)


async def test_a_code_is_for_its_own_id_alone(api: Api, outbox: Outbox) -> None:
    first, second = await asked(api), await asked(api)
    code = outbox.code(first["id"])
    if code != outbox.code(second["id"]):
        assert await guessed(api, second["id"], code) == ("pending", 4)
    assert await guessed(api, first["id"], code) == ("approved", 0)


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param(str(uuid4()), id="random"),
        # Made when it is asked for: an id tells its age.
        pytest.param(None, id="of-a-shard"),
        "c_1",
        "not-an-id",
        "0" * 128,
        "ü",
    ],
)
async def test_an_unknown_id_is_answered_like_a_wrong_code(
    unknown: str | None, api: Api, outbox: Outbox
) -> None:
    unknown = unknown or str(new_id(3))
    opened = await asked(api)
    code = outbox.code(opened["id"])
    known = [await guessed(api, opened["id"], wrong(code, turn)) for turn in range(1, 8)]
    made_up = [await guessed(api, unknown, f"{turn:06d}") for turn in range(1, 8)]
    assert made_up == known


async def test_an_old_id_that_nobody_was_given_is_over_like_one_that_was(api: Api) -> None:
    hour_ago = new_id(3, at_ms=(new_id(0).int >> 80) - 3_600_000)
    assert await guessed(api, str(hour_ago), "123456") == ("expired", 0)
    later = new_id(3, at_ms=(new_id(0).int >> 80) + 3_600_000_000)
    assert await guessed(api, str(later), "123456") == ("pending", 4)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"phone": "3125550177"},
        {"phone": "+1"},
        {"phone": PHONE, "locale": "x"},
        {"phone": PHONE, "channel": "voice"},
        {"phone": 13125550177},
    ],
)
async def test_a_malformed_request_is_refused(
    body: dict[str, object], api: Api, database_url: str
) -> None:
    answer = await api.post(PATH, json=body)
    problem = assert_problem(answer, 400, "invalid")
    assert "3125550177" not in answer.text
    assert problem["errors"]
    assert rows(database_url, "SELECT FROM verification") == []


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", " 123456", "١٢٣٤٥٦", "", None])
async def test_a_malformed_guess_is_refused_and_not_counted(
    code: str | None, api: Api, outbox: Outbox
) -> None:
    opened = await asked(api)
    answer = await api.post(f"{PATH}/{opened['id']}/check", json={"code": code})
    assert_problem(answer, 400, "invalid")
    assert await guessed(api, opened["id"], wrong(outbox.code(opened["id"]))) == ("pending", 4)


async def test_events_is_the_scope(anonymous: Api, make_key: MakeKey) -> None:
    others = make_key(*(scope for scope in Scope if scope is not Scope.EVENTS))
    for path, body in ((PATH, {"phone": PHONE}), (f"{PATH}/{new_id(0)}/check", {"code": "1"})):
        assert_problem(await anonymous.post(path, json=body), 401, "unauthorized")
        answer = await anonymous.post(path, json=body, headers={"Authorization": others})
        assert_problem(answer, 403, "scope")


async def test_the_code_and_the_number_are_nowhere_in_clear(
    api: Api, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        opened = await asked(api)
        sent = outbox.sent(opened["id"])
        assert sent is not None
        await guessed(api, opened["id"], sent.code)
        shown = [
            (await api.get(f"/v1/notifications/{sent.notification}")).text,
            (await api.get("/v1/notifications")).text,
            (await api.get("/metrics")).text,
        ]
    with psycopg.connect(outbox.url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        for (table,) in tables:
            stored = connection.execute(f'SELECT t::text FROM "{table}" t').fetchall()
            shown += [row[0] for row in stored]
    shown += [record.getMessage() for record in caplog.records]
    for secret in (sent.code, PHONE):
        forms = (secret, secret.encode().hex())
        # Six digits may be part of a longer number by chance, never a word by themselves.
        pattern = "|".join(rf"(?<![0-9a-fA-F.]){re.escape(form)}(?![0-9a-fA-F])" for form in forms)
        assert not [text for text in shown if re.search(pattern, text)]


async def test_the_rows_lie_where_their_id_says(api: Api, database_url: str) -> None:
    for n in range(5):
        await asked(api, f"+12025550{n}00")
    for shard, identity, notification in rows(
        database_url, "SELECT shard, id, notification FROM verification"
    ):
        assert shard == shard_of_id(identity) == shard_of_id(notification)
