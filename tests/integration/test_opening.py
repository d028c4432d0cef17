"""A name and number is opened under a person's own key, and the ledger keeps who and why."""

from __future__ import annotations

import psycopg
from litestar import Litestar
from litestar.testing import AsyncTestClient

from outbox.store import openings
from outbox.store.connect import Role, conninfo
from outbox.store.keys import Scope

from .conftest import MakeKey, rows
from .test_api_problems import assert_problem

_BOB = {"name": "Bob", "phone": "+12025550123"}
_WHY = {"reason": "nobody was reached, I ring them"}


async def test_it_is_opened_and_kept_who_did_and_why(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    await api.put("/v1/recipients/c_1", json=_BOB)
    first = (await api.post("/v1/recipients/c_1/open", json=_WHY)).json()
    assert (first["name"], first["phone"]) == ("Bob", "+12025550123")
    await api.post("/v1/recipients/c_1/open", json={"reason": "once more"})
    with psycopg.connect(conninfo(database_url, Role.DASHBOARD, application="tests")) as reader:
        newest = openings.newest(reader, "c_1", most=5)
        assert openings.newest(reader, "c_2", most=5) == []
    assert [each.reason for each in newest] == ["once more", _WHY["reason"]]
    assert all(each.actor.endswith("(test)") for each in newest)
    [(kept,)] = rows(database_url, "SELECT json_agg(o)::text FROM opening o")
    assert "Bob" not in kept
    assert "5550123" not in kept


async def test_what_is_not_opened_is_not_kept_and_nobody_opens_without_a_reason(
    api: AsyncTestClient[Litestar], make_key: MakeKey, database_url: str
) -> None:
    await api.put("/v1/recipients/c_1", json=_BOB)
    assert_problem(await api.post("/v1/recipients/c_9/open", json=_WHY), 404, "not-found")
    for broken in ({}, {"reason": ""}, {"reason": "a\u0007"}):
        answer = await api.post("/v1/recipients/c_1/open", json=broken)
        assert_problem(answer, 400, "invalid")
    operator = {"Authorization": make_key(Scope.OPERATE, Scope.READ)}
    answer = await api.post("/v1/recipients/c_1/open", json=_WHY, headers=operator)
    assert_problem(answer, 403, "scope")
    assert rows(database_url, "SELECT FROM opening") == []


async def test_what_cannot_be_kept_is_not_shown(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    await api.put("/v1/recipients/c_1", json=_BOB)
    with psycopg.connect(database_url) as owner:
        owner.execute("REVOKE INSERT ON opening FROM pruuf_gateway")
        owner.commit()
    answer = await api.post("/v1/recipients/c_1/open", json=_WHY)
    assert answer.status_code >= 500
    assert "5550123" not in answer.text
