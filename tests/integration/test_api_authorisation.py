"""Who may do what: every operation, with every scope, with no key, and with one that ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from litestar import Litestar
from litestar.testing import AsyncTestClient

from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import Scope

from .conftest import MakeKey
from .description import Description
from .test_api_problems import assert_problem

_EVENTS, _PEOPLE, _READ, _OPERATE = Scope.EVENTS, Scope.RECIPIENTS, Scope.READ, Scope.OPERATE

MAY: Mapping[str, Scope | tuple[Scope, ...]] = {
    "POST /v1/events": _EVENTS,
    "POST /v1/events/stream": _EVENTS,
    "POST /v1/verifications": _EVENTS,
    "POST /v1/verifications/{verification}/check": _EVENTS,
    "GET /v1/recipients/{recipient}": _PEOPLE,
    "PUT /v1/recipients/{recipient}": _PEOPLE,
    "DELETE /v1/recipients/{recipient}": _PEOPLE,
    "POST /v1/recipients/{recipient}/open": _PEOPLE,
    "GET /v1/recipients/{recipient}/readiness": (_PEOPLE, _READ),
    "PUT /v1/recipients/{recipient}/devices/{device}": _PEOPLE,
    "DELETE /v1/recipients/{recipient}/devices/{device}": _PEOPLE,
    "PUT /v1/recipients/{recipient}/devices/{device}/topics/{topic}": _PEOPLE,
    "DELETE /v1/recipients/{recipient}/devices/{device}/topics/{topic}": _PEOPLE,
    "GET /v1/events/{event}": _READ,
    "GET /v1/notifications/{notification}": _READ,
    "GET /v1/notifications": _READ,
    "GET /v1/accounts/{account}": _READ,
    "GET /v1/callbacks": _READ,
    "GET /v1/callbacks/{callback_id}": _READ,
    "GET /v1/providers": _READ,
    "GET /v1/acknowledgements": _READ,
    "POST /v1/notifications/{notification}/cancel": _OPERATE,
    "POST /v1/notifications/{notification}/redrive": _OPERATE,
    "POST /v1/accounts/{account}/card-link": _OPERATE,
    "POST /v1/callbacks/{callback_id}/redrive": _OPERATE,
    "POST /v1/providers/{provider}/hold": _OPERATE,
    "POST /v1/providers/{provider}/release": _OPERATE,
    "POST /v1/alerts/{alert}/acknowledge": _OPERATE,
}
"""The scope that each needs, or one of them; no other does."""

SIGNED = {
    "POST /v1/receipts/push",
    "POST /webhooks/twilio/status",
    "POST /webhooks/twilio/inbound",
    "POST /webhooks/stripe",
}
"""Believed by what they carry: no key helps."""

OPEN = {
    "GET /card-saved",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /problems",
    "GET /problems/{name}",
}
"""Nothing of anybody is told, and nothing changed."""


async def test_every_operation_stands_in_the_matrix(
    api: AsyncTestClient[Litestar], described: Callable[[Litestar], Description]
) -> None:
    operations = described(api.app).operations()
    assert {f"{method.upper()} {path}" for method, path, _ in operations} == {*MAY, *SIGNED, *OPEN}


async def test_each_scope_opens_its_own_doors_and_no_other(
    anonymous: AsyncTestClient[Litestar], make_key: MakeKey, database_url: str
) -> None:
    holders = {scope: make_key(scope) for scope in Scope}
    ended = make_key()
    with owner_engine(database_url).begin() as connection:
        assert keys.revoke(connection, ended.split("_")[1])
    for operation, needed in MAY.items():
        fitting = needed if isinstance(needed, tuple) else (needed,)
        for stranger in (None, ended, holders[fitting[0]][:-1]):
            answer = await _ask(anonymous, operation, stranger)
            assert_problem(answer, 401, "unauthorized")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        # All the others together are not enough either.
        others = make_key(*(each for each in Scope if each not in fitting))
        for header in (*(holders[each] for each in Scope if each not in fitting), others):
            answer = await _ask(anonymous, operation, header)
            assert fitting[0] in assert_problem(answer, 403, "scope")["detail"]
        for scope in fitting:
            answer = await _ask(anonymous, operation, holders[scope])
            assert answer.status_code not in {401, 403}, (operation, answer.text)


async def test_no_key_helps_where_a_signature_is_asked_for(
    anonymous: AsyncTestClient[Litestar], make_key: MakeKey
) -> None:
    for operation in SIGNED:
        for header in (None, make_key()):
            answer = await _ask(anonymous, operation, header)
            assert answer.status_code in {400, 403, 415}, (operation, answer.text)


async def test_what_is_open_tells_the_same_to_everybody(
    anonymous: AsyncTestClient[Litestar], make_key: MakeKey
) -> None:
    for operation in OPEN:
        without, with_key = [
            await _ask(anonymous, operation, header) for header in (None, make_key())
        ]
        assert without.status_code == with_key.status_code
        assert without.status_code < 500


async def _ask(client: AsyncTestClient[Litestar], operation: str, authorization: str | None) -> Any:  # noqa: ANN401 - an answer of httpx
    method, path = operation.split(" ")
    headers = {} if authorization is None else {"Authorization": authorization}
    return await client.request(method, re.sub(r"{\w+}", "x", path), headers=headers)
