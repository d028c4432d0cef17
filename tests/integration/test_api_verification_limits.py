"""Who gets no one-time code, and that nobody learns it from the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from outbox.domain.ids import SHARDS, new_id
from outbox.settings import Settings
from outbox.store import suppressions
from outbox.store.connect import Role, connect
from outbox.store.keys import Scope

from .codes import PATH, PHONE, Api, Limited, Outbox, asked, gateways, guessed, wrong
from .conftest import MakeKey, missed, rows
from .test_api_problems import assert_problem


@pytest.fixture
def outbox(settings: Settings) -> Outbox:
    return Outbox(settings)


@pytest.fixture
async def limited(settings: Settings, make_key: MakeKey) -> AsyncIterator[Limited]:
    async with gateways(settings, make_key) as make:
        yield make


async def test_a_number_that_gets_no_code_is_answered_like_one_that_does(
    api: Api, outbox: Outbox
) -> None:
    british = await asked(api, "+442079460958")
    assert outbox.refused(british["id"]) == "country"
    phone_hash = outbox.sealer.lookup("+12025550199")
    async with await connect(outbox.url, Role.RELAY, application="test") as connection:
        await suppressions.add(connection, phone_hash, origin="inbound", word="STOP")
    opted_out = await asked(api, "+12025550199")
    assert outbox.refused(opted_out["id"]) == "opted_out"
    for _ in range(5):
        assert outbox.refused((await asked(api))["id"]) is None
    over = await asked(api)
    assert outbox.refused(over["id"]) == "number_limit"
    known = await asked(api, "+12025551111")
    code = outbox.code(known["id"])
    for refused in (british, opted_out, over):
        assert outbox.sent(refused["id"]) is None
        assert UUID(refused["id"]).version == UUID(known["id"]).version
        answers = [await guessed(api, refused["id"], wrong(code, turn)) for turn in range(1, 7)]
        assert [status for status, _ in answers] == ["pending"] * 4 + ["blocked"] * 2
    assert await guessed(api, known["id"], code) == ("approved", 0)


async def test_a_lifted_opt_out_gets_codes_again(api: Api, outbox: Outbox) -> None:
    phone_hash = outbox.sealer.lookup(PHONE)
    async with await connect(outbox.url, Role.RELAY, application="test") as connection:
        await suppressions.add(connection, phone_hash, origin="inbound", word="STOP")
        assert outbox.refused((await asked(api))["id"]) == "opted_out"
        await suppressions.lift(connection, [phone_hash])
    assert outbox.refused((await asked(api))["id"]) is None


async def test_limits_hold_for_all_who_ask_at_once(outbox: Outbox, limited: Limited) -> None:
    one, other = await limited(), await limited()
    await asyncio.gather(*(asked(client) for client in [one, other] * 15))
    assert rows(
        outbox.url, "SELECT refused, count(*)::integer FROM verification GROUP BY 1 ORDER BY 1"
    ) == [("number_limit", 25), (None, 5)]
    assert rows(outbox.url, "SELECT count(*)::integer FROM notification") == [(5,)]


async def test_a_limit_is_over_when_its_minutes_are(api: Api, outbox: Outbox) -> None:
    for _ in range(5):
        await asked(api)
    assert outbox.refused((await asked(api))["id"]) == "number_limit"

    key = outbox.sealer.lookup(f"usage\0number\0{PHONE}")

    def shift(minutes: int) -> None:
        with psycopg.connect(outbox.url) as connection:
            connection.execute(
                "DELETE FROM usage_minute WHERE key = %s AND n = 0 AND minute < now() - %s",
                (key, timedelta(minutes=5)),
            )
            connection.execute(
                "UPDATE usage_minute SET minute = date_trunc('minute', now()) - %s"
                " WHERE key = %s AND n > 0",
                (timedelta(minutes=minutes), key),
            )

    shift(10)
    assert outbox.refused((await asked(api))["id"]) == "number_limit"
    shift(11)
    assert outbox.refused((await asked(api))["id"]) is None


async def test_refused_requests_do_not_prolong_a_limit(api: Api, outbox: Outbox) -> None:
    for _ in range(9):
        await asked(api)
    key = outbox.sealer.lookup(f"usage\0number\0{PHONE}").hex()
    [(counted,)] = rows(
        outbox.url, f"SELECT sum(n)::integer FROM usage_minute WHERE encode(key, 'hex') = '{key}'"
    )
    assert counted == 5


async def test_a_range_of_numbers_has_a_limit(outbox: Outbox, limited: Limited) -> None:
    api = await limited(per_prefix=3)
    refused = [
        outbox.refused((await asked(api, f"+1202555{n:04d}"))["id"])
        for n in (1001, 1002, 1999, 1500, 2001)
    ]
    assert refused == [None, None, None, "prefix_limit", None]


async def test_a_country_has_a_limit(outbox: Outbox, limited: Limited) -> None:
    api = await limited(per_country_hour=2)
    numbers = ("+12025550101", "+12125550102", "+13125550103", "+14165550104")
    refused = [outbox.refused((await asked(api, number))["id"]) for number in numbers]
    assert refused == [None, None, "country_limit", None]


@pytest.mark.parametrize(
    ("phone", "refused"),
    [
        ("+14165550123", None),
        ("+18765551234", "country"),
        ("+15557654321", None),
        ("+80012345678", "country"),
        ("+79991234567", "country"),
    ],
)
async def test_the_country_is_that_of_the_number(
    phone: str, refused: str | None, api: Api, outbox: Outbox
) -> None:
    assert outbox.refused((await asked(api, phone))["id"]) == refused


async def test_a_caller_over_its_limit_is_told_when_to_come_again(
    limited: Limited, make_key: MakeKey, outbox: Outbox
) -> None:
    api = await limited(per_caller_minute=3)
    other = {"Authorization": make_key(Scope.EVENTS)}
    # Whatever the number: the limit is the key's.
    numbers = [PHONE, "+442079460958", "+12025550199", "+12025550198", "+442079460959"]
    answers = [await api.post(PATH, json={"phone": number}) for number in numbers]
    while [a.status_code for a in answers[-2:]] != [429, 429]:
        # A minute ended in between.
        answers.append(await api.post(PATH, json={"phone": PHONE}))
        assert len(answers) < 12
    for answer in answers[-2:]:
        assert_problem(answer, 429, "too-many-requests")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert (await api.post(PATH, json={"phone": PHONE}, headers=other)).status_code == 202


async def test_a_caller_that_guesses_without_end_is_stopped(
    limited: Limited,
) -> None:
    api = await limited(per_caller_minute=1)
    answers = []
    for turn in range(16):
        path = f"{PATH}/{new_id(turn % SHARDS)}/check"
        answers.append(await api.post(path, json={"code": "123456"}))
    limited_ = [answer for answer in answers if answer.status_code == 429]
    assert len(limited_) >= 6
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in limited_)


async def test_what_codes_may_cost_is_a_ceiling_for_a_range_and_for_a_caller(
    outbox: Outbox, limited: Limited
) -> None:
    dear = {"countries": ("US", "GB"), "usd_elsewhere": 0.5, "usd_per_prefix_hour": 1.2}
    api = await limited(**dear, usd_per_caller_hour=2.0)
    ranges = ["+4420794609%02d", "+4420794619%02d", "+4420794629%02d"]
    refused = [
        outbox.refused((await asked(api, each % n))["id"]) for each in ranges for n in range(50, 53)
    ]
    # Two for a range, four for the caller; what is refused costs nothing.
    assert refused == [
        *(None, None, "prefix_cost"),
        *(None, None, "prefix_cost"),
        *("caller_cost",) * 3,
    ]
    # A cheap one is still within it only if its own price is.
    assert outbox.refused((await asked(api))["id"]) == "caller_cost"


async def test_a_flood_of_codes_does_not_hold_up_an_alert(
    limited: Limited, database_url: str
) -> None:
    api = await limited(per_caller_minute=1_000_000, per_country_hour=1_000_000)
    flood = [asyncio.ensure_future(asked(api, f"+1{202 + n % 700}555{n:04d}")) for n in range(600)]
    answer = await api.post("/v1/events", json=missed())
    waiting = sum(not task.done() for task in flood)
    assert answer.status_code == 202
    # It was answered while most of what came before it still waited.
    assert waiting > 200
    await asyncio.gather(*flood)
    assert rows(database_url, "SELECT count(*)::integer FROM verification") == [(600,)]
