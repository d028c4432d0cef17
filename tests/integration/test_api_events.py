"""POST /v1/events: what is accepted, what is refused and how, and that nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
from litestar import Litestar
from litestar.testing import AsyncTestClient

from outbox.store.keys import Scope

from .conftest import (
    ALICE,
    BATCH,
    BOB,
    CAROL,
    SINGLE,
    MakeKey,
    confirmed,
    event,
    invited,
    missed,
    nothing_is_written,
    rows,
)
from .test_api_problems import assert_problem

_PATH = "/v1/events"
_JSON = {"content-type": "application/json"}
_DUE = {"member": ALICE, "contacts": [BOB], "due_at": "2026-11-23T08:30:00Z"}


def with_data(**data: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A missed check-in whose data differ in these fields; null ones are left out."""
    merged = {**_DUE, **data}
    return event("checkin.missed", {k: v for k, v in merged.items() if v is not None})


def without(field: str) -> dict[str, Any]:
    one = missed()
    del one[field]
    return one


def replaced(old: str, new: str) -> bytes:
    """A missed check-in whose JSON text is changed."""
    text = json.dumps(missed(id="evt-raw"))
    assert old in text
    return text.replace(old, new).encode()


# What is posted, then the error's path and how what came is called.
_REFUSED: list[tuple[Any, str, str]] = [
    # Not JSON, or not in UTF-8.
    (b"", "$", "nothing"),
    (b"{", "$", "text that is not JSON"),
    (b"null", "$", "null"),
    (b'"event"', "$", "a string"),
    (b"[]", "$", "an array"),
    (b"\xef\xbb\xbf{}", "$", "text that is not JSON"),
    (json.dumps(missed()).encode("utf-16"), "$", "text that is not JSON"),
    (json.dumps(missed()).encode("utf-32"), "$", "text that is not JSON"),
    (replaced("Alice", "Al\xedce").decode().encode("latin-1"), "$", "bytes that are not UTF-8"),
    (
        replaced("Alice", "").replace(b'"name": ""', b'"name": "\xed\xa0\x80"'),
        "$",
        "bytes that are not UTF-8",
    ),
    # Of another shape before the byte that is no text.
    (b'"\x80"', "$", "a string"),
    (json.dumps(missed()).encode() + b"{}", "$", "text that is not JSON"),
    (json.dumps(missed()).encode()[:-1], "$", "text that is not JSON"),
    (replaced('"1.0"', "NaN"), "$", "text that is not JSON"),
    # Nested more deeply than anything that is accepted.
    (b"[" * 100_000, "$", "an array"),
    (replaced('"Alice"', "[" * 50_000 + "]" * 50_000), "$.data.member.name", "an array"),
    (
        replaced('"subject"', '"x": ' + '{"a":' * 50_000 + "1" + "}" * 50_000 + ', "subject"'),
        "$",
        "JSON",
    ),
    # The envelope.
    (without("specversion"), "$.specversion", "nothing"),
    (without("id"), "$.id", "nothing"),
    (without("source"), "$.source", "nothing"),
    (without("type"), "$.type", "nothing"),
    (without("subject"), "$.subject", "nothing"),
    (without("data"), "$.data", "nothing"),
    (missed(specversion="0.3"), "$.specversion", "another value"),
    (missed(id=7), "$.id", "a number"),
    (missed(id=""), "$.id", "a shorter one"),
    (missed(id="x" * 129), "$.id", "a longer one"),
    (missed(id="two words"), "$.id", "another value"),
    (missed(id="a\0b"), "$.id", "another value"),
    (missed(source=None), "$.source", "null"),
    (missed(type="checkin.forgotten"), "$.type", "another value"),
    (missed(type=["checkin.missed"]), "$.type", "another value"),
    (missed(time="yesterday"), "$.time", "a malformed time"),
    (missed(time="2026-11-23T09:00:00"), "$.time", "a time without its zone"),
    (missed(time="0001-01-01T00:00:00+14:00"), "$.time", "a time of another century"),
    (missed(time="9999-12-31T23:59:59-14:00"), "$.time", "a time of another century"),
    (missed(time=1795424400), "$.time", "a number"),
    (missed(datacontenttype="text/xml"), "$.datacontenttype", "another value"),
    (missed(subject="m_2"), "$.subject", "another id"),
    ({**missed(), "data": []}, "$.data", "an array"),
    # The data of a missed check-in.
    (with_data(due_at=None), "$.data.due_at", "nothing"),
    (with_data(due_at="9999-12-31T23:59:59-14:00"), "$.data.due_at", "a time of another century"),
    (with_data(member=None), "$.data.member", "nothing"),
    (with_data(member="m_1"), "$.data.member", "a string"),
    (with_data(member={"id": "m_1", "name": "Alice"}), "$.data.member.phone", "nothing"),
    (
        with_data(member={**ALICE, "phone": "12025550100"}),
        "$.data.member.phone",
        "a number without +",
    ),
    (
        with_data(member={**ALICE, "phone": "+1202555"}),
        "$.data.member.phone",
        "a number of a length",
    ),
    (with_data(member={**ALICE, "name": ""}), "$.data.member.name", "a shorter one"),
    (with_data(member={**ALICE, "name": "x" * 81}), "$.data.member.name", "a longer one"),
    (with_data(member={**ALICE, "name": "A\nlice"}), "$.data.member.name", "another value"),
    (with_data(member={**ALICE, "name": "A\0"}), "$.data.member.name", "another value"),
    (with_data(contacts=None), "$.data.contacts", "nothing"),
    (with_data(contacts={}), "$.data.contacts", "an object"),
    (with_data(contacts=[BOB, 5]), "$.data.contacts[1]", "a number"),
    (with_data(contacts=[{}]), "$.data.contacts[0].id", "nothing"),
    (with_data(contacts=[BOB] * 101), "$.data.contacts", "a longer one"),
    (
        with_data(contacts=[{**BOB, "locale": "in English"}]),
        "$.data.contacts[0].locale",
        "another value",
    ),
    # Unknown fields, at every depth of the data.
    (with_data(mood="sad"), "$.data.mood", "an unknown field"),
    (with_data(member={**ALICE, "age": 80}), "$.data.member.age", "an unknown field"),
    (
        with_data(contacts=[BOB, {**CAROL, "mail": "x"}]),
        "$.data.contacts[1].mail",
        "an unknown field",
    ),
    # The other kinds.
    (confirmed(subject="m_2"), "$.subject", "another id"),
    (confirmed({"id": "c_9"}), "$.data.contacts[0].phone", "nothing"),
    (confirmed({**BOB, "phone": "+1202555"}), "$.data.contacts[0].phone", "a number of a length"),
    (event("checkin.confirmed", _DUE), "$.data.due_at", "an unknown field"),
    (event("member.invited", _DUE), "$.data.member", "an unknown field"),
    (
        event("member.invited", {**invited()["data"], "code": "a b c"}),
        "$.data.code",
        "another value",
    ),
]


async def test_what_is_refused_and_where(api: AsyncTestClient[Litestar], database_url: str) -> None:
    with nothing_is_written(database_url):
        for posted, path, got in _REFUSED:
            content = posted if isinstance(posted, bytes) else json.dumps(posted).encode()
            for media_type in ("application/json", f"{SINGLE}; charset=UTF-8"):
                headers = {"content-type": media_type}
                answer = await api.post(_PATH, content=content, headers=headers)
                [error, *_] = assert_problem(answer, 400, "invalid")["errors"]
                assert (error["path"], error["got"][: len(got)]) == (path, got), answer.text
                assert error["accepted"]
                assert "index" not in error
                assert "Alice" not in answer.text
                assert "+1202" not in answer.text.replace("+12025550123", "")


async def test_of_an_unknown_field_only_the_kinds_own_fields_are_named(
    api: AsyncTestClient[Litestar],
) -> None:
    wrong = event("checkin.confirmed", _DUE)
    for media_type, body in ((SINGLE, wrong), (BATCH, [missed(), wrong])):
        answer = await api.post(_PATH, json=body, headers={"content-type": media_type})
        [error] = assert_problem(answer, 400, "invalid")["errors"]
        assert error["path"] == "$.data.due_at"
        assert error["accepted"] == "only member, contacts, at"


async def test_lone_surrogates_are_refused_in_every_spelling(
    api: AsyncTestClient[Litestar], database_url: str
) -> None:
    with nothing_is_written(database_url):
        for name in (r'"\ud800"', r'"\udc00"', r'"a\udbffb"', r'"\ud83d\ud83d"'):
            answer = await api.post(_PATH, content=replaced('"Alice"', name), headers=_JSON)
            assert_problem(answer, 400, "invalid")
    answer = await api.post(_PATH, content=replaced('"Alice"', r'"\ud83d\ude00"'), headers=_JSON)
    assert answer.status_code == 202


async def test_bodies_that_are_not_read(api: AsyncTestClient[Litestar], database_url: str) -> None:
    body = json.dumps(missed()).encode()
    large = json.dumps(missed(padding="x" * 1024 * 1024)).encode()
    not_read: list[tuple[bytes, dict[str, str], int, str]] = [
        (body, {}, 415, "unsupported-media-type"),
        (body, {"content-type": "text/plain"}, 415, "unsupported-media-type"),
        (body, {"content-type": "application/cloudevents+xml"}, 415, "unsupported-media-type"),
        (
            body,
            {"content-type": "application/x-www-form-urlencoded"},
            415,
            "unsupported-media-type",
        ),
        (
            body,
            {"content-type": "application/json; charset=latin-1"},
            415,
            "unsupported-media-type",
        ),
        (body, {**_JSON, "content-encoding": "gzip"}, 415, "unsupported-media-type"),
        (large, _JSON, 413, "too-large"),
        (b"[" + large + b"]", {"content-type": BATCH}, 413, "too-large"),
    ]
    with nothing_is_written(database_url):
        for content, headers, status, name in not_read:
            assert_problem(await api.post(_PATH, content=content, headers=headers), status, name)
    for headers in (_JSON, {"content-type": 'Application/JSON ; Charset="utf-8"'}):
        plain = {**headers, "content-encoding": "identity"}
        assert (await api.post(_PATH, content=body, headers=plain)).status_code == 202


async def test_a_body_without_a_length_has_the_same_limit(served: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * 64 * 1024

    assert_problem(await served.post(_PATH, content=pieces(), headers=_JSON), 413, "too-large")


async def test_keys(
    anonymous: AsyncTestClient[Litestar],
    make_key: MakeKey,
    database_url: str,
) -> None:
    wrong = make_key(*(scope for scope in Scope if scope != Scope.EVENTS))
    unknown = make_key()[:-4] + "0000"
    with nothing_is_written(database_url):
        for headers, status, name in (
            ({}, 401, "unauthorized"),
            ({"Authorization": unknown}, 401, "unauthorized"),
            ({"Authorization": wrong}, 403, "scope"),
        ):
            answer = await anonymous.post(_PATH, json=missed(), headers=headers)
            assert_problem(answer, status, name)
            assert answer.headers["www-authenticate"].startswith("Bearer")
    right = {"Authorization": make_key(Scope.EVENTS)}
    assert (await anonymous.post(_PATH, json=missed(), headers=right)).status_code == 202


async def test_when_the_database_goes_away_nothing_is_confirmed(
    api: AsyncTestClient[Litestar],
    database_url: str,
) -> None:
    once = missed()
    assert (await api.post(_PATH, json=once)).status_code == 202
    name = database_url.rpartition("/")[2]
    with psycopg.connect(database_url.rpartition("/")[0] + "/postgres", autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        for media_type, body in ((SINGLE, missed()), (SINGLE, once), (BATCH, [missed()])):
            answer = await api.post(_PATH, json=body, headers={"content-type": media_type})
            assert_problem(answer, 503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert rows(database_url, "SELECT count(*) FROM event") == [(1,)]
