"""Every error is problem details, with a type that leads to a page."""

from __future__ import annotations

import logging
from html import escape
from typing import Any

import httpx
import psycopg
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from gateway.problems import KINDS
from outbox.store import reads

_JSON = {"content-type": "application/json"}


def assert_problem(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["type"] == f"/problems/{name}"
    assert body["status"] == status
    assert body["title"] == KINDS[name].title
    assert body["detail"]
    assert isinstance(body["errors"], list)
    return body


# One database for all rows of a table: none of them may write anything.
_ANSWERS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/nowhere", {}, 404, "not-found"),
    ("GET", "/schema/nowhere", {}, 404, "not-found"),
    ("GET", "/problems/nowhere", {}, 404, "not-found"),
    ("DELETE", "/v1/notifications", {}, 405, "method-not-allowed"),
    ("POST", "/healthz", {}, 405, "method-not-allowed"),
    ("GET", "/v1/events/not-an-id", {}, 404, "not-found"),
    ("GET", "/v1/notifications/0192a000-0000-7000-8000-000000000001", {}, 404, "not-found"),
    # Well-formed, but of a shard that does not exist.
    ("GET", "/v1/notifications/0192a000-0000-7000-8000-0000000000ff", {}, 404, "not-found"),
    ("GET", "/v1/notifications?limit=0", {}, 400, "invalid"),
    ("GET", "/v1/notifications?limit=many", {}, 400, "invalid"),
    ("GET", "/v1/notifications?state=lost", {}, 400, "invalid"),
    ("GET", "/v1/notifications?since=yesterday", {}, 400, "invalid"),
    ("GET", "/v1/notifications?since=2026-11-23T09:00:00", {}, 400, "invalid"),
    ("GET", "/v1/notifications?since=0001-01-01T00:00:00%2B14:00", {}, 400, "invalid"),
    ("GET", "/v1/notifications?cursor=abc", {}, 400, "invalid"),
    ("GET", "/v1/notifications?cursor=ffffffffffff7fffbfffffffffffff0f", {}, 400, "invalid"),
    ("GET", "/v1/notifications?recipient=a%00b", {}, 400, "invalid"),
    ("GET", "/v1/recipients/nobody", {}, 404, "not-found"),
    ("PUT", "/v1/recipients/a%00b", {"json": {}}, 400, "invalid"),
    ("PUT", "/v1/recipients/c", {"content": b"{}"}, 415, "unsupported-media-type"),
    (
        "PUT",
        "/v1/recipients/c",
        {"content": b"{}", "headers": {"content-type": "application/json; charset=utf-16"}},
        415,
        "unsupported-media-type",
    ),
    ("PUT", "/v1/recipients/c", {"content": b"", "headers": _JSON}, 400, "invalid"),
    ("PUT", "/v1/recipients/c", {"content": b'{"name"', "headers": _JSON}, 400, "invalid"),
    ("PUT", "/v1/recipients/c", {"content": b"\xff", "headers": _JSON}, 400, "invalid"),
    (
        "PUT",
        "/v1/recipients/c",
        {"content": b'{"x":' + b"[" * 200_000, "headers": _JSON},
        400,
        "invalid",
    ),
    (
        "PUT",
        "/v1/recipients/c",
        {"content": b'{"name":"' + b"x" * 1024 * 1024 + b'"}', "headers": _JSON},
        413,
        "too-large",
    ),
]


async def test_documented_answers(api: AsyncTestClient[Litestar], database_url: str) -> None:
    for method, path, kwargs, status, name in _ANSWERS:
        assert_problem(await api.request(method, path, **kwargs), status, name)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM recipient").fetchone() == (0,)


async def test_405_names_the_methods(api: AsyncTestClient[Litestar]) -> None:
    answer = await api.post("/healthz")
    assert "GET" in answer.headers["allow"]


_FAULTS = [
    (b'{"phone": 5}', "$.phone", "a number"),
    (b'{"nick": "x"}', "$.nick", "an unknown field"),
    (b'{"Bob Smith": "x"}', "$.…", "an unknown field"),
    (b'{"+12025550123": "x"}', "$.…", "an unknown field"),
    (b'{"phone": "+1303555"}', "$.phone", "a number of a length"),
    (b'{"name": "a\\u0000b"}', "$.name", "another value"),
    (b'{"name": "\\ud800"}', "$", "text that is not JSON"),
    (b'{"timezone": "Mars/Phobos"}', "$.timezone", "an unknown time zone"),
    (b'{"locale": "english please"}', "$.locale", "another value"),
    (b"[]", "$", "an array"),
]


async def test_an_error_names_path_and_kind_but_no_value(api: AsyncTestClient[Litestar]) -> None:
    for content, path, got in _FAULTS:
        answer = await api.put("/v1/recipients/c", content=content, headers=_JSON)
        [error] = assert_problem(answer, 400, "invalid")["errors"]
        assert error["path"] == path
        assert error["got"].startswith(got)
        assert error["accepted"]
        assert "1303555" not in answer.text


async def test_a_fault_is_logged_without_its_message(
    api: AsyncTestClient[Litestar],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explode(_: object) -> None:
        msg = "somebody's number +12025550123"
        raise RuntimeError(msg)

    monkeypatch.setattr(reads, "event", explode)
    with caplog.at_level(logging.ERROR):
        answer = await api.get("/v1/events/0192a000-0000-7000-8000-000000000001")
    problem = assert_problem(answer, 500, "internal")
    [record] = [r for r in caplog.records if r.name == "gateway.failures"]
    logged = record.getMessage()
    assert problem["instance"] in logged
    assert "RuntimeError" in logged
    assert "explode" in logged
    assert "2025550123" not in logged + answer.text


async def test_every_type_leads_to_its_page(anonymous: AsyncTestClient[Litestar]) -> None:
    index = (await anonymous.get("/problems")).text
    for kind in KINDS.values():
        answer = await anonymous.get(kind.type)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert escape(kind.title) in answer.text
        assert kind.type in index
