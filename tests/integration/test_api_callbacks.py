"""Callbacks and receipts: forged leaves nothing, genuine is stored once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from twilio.request_validator import RequestValidator

from gateway.app import create_app
from outbox.domain import callbacks
from outbox.domain.callbacks import Callback
from outbox.domain.ids import new_id
from outbox.domain.references import Purpose, Reference, ReferenceSigner
from outbox.sealing import Sealer
from outbox.settings import Settings

from .conftest import AUTH_TOKENS, PUBLIC
from .test_api_problems import assert_problem

_PATH = "/webhooks/twilio/status"
_FIELDS = {
    "MessageSid": "SM" + "0" * 32,
    "MessageStatus": "undelivered",
    "ErrorCode": "30005",
    "To": "+12025550123",
    "From": "+12025550100",
    "AccountSid": "AC" + "0" * 32,
}
_NOTIFICATION = new_id(5)


def reference(settings: Settings, purpose: Purpose, ordinal: int = 0) -> str:
    return ReferenceSigner(settings.keys).sign(
        Reference(
            purpose=purpose,
            notification=_NOTIFICATION,
            step=1,
            fence=3,
            lane=0,
            ordinal=ordinal,
        ),
    )


async def call(
    client: AsyncTestClient[Litestar],
    fields: Mapping[str, str],
    *,
    query: str = "",
    token: str = AUTH_TOKENS[0],
    signed_for: str = PUBLIC,
) -> httpx.Response:
    url = f"{_PATH}?{query}" if query else _PATH
    signature = RequestValidator(token).compute_signature(signed_for + url, dict(fields))
    headers = {
        "X-Twilio-Signature": signature,
        "content-type": "application/x-www-form-urlencoded",
    }
    answer: httpx.Response = await client.post(
        url,
        content=urlencode(fields),
        headers=headers,
    )
    return answer


def inbox(database_url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(
            "SELECT shard, id, provider, said, lane, body FROM inbox ORDER BY id",
        ).fetchall()


def opened(settings: Settings, row: tuple[Any, ...]) -> Callback:
    sealer = Sealer(settings.keys, settings.lookup_keys)
    return callbacks.decode(sealer.unseal(row[5], table="inbox", row=str(row[1]), field="body"))


@pytest.mark.parametrize("token", AUTH_TOKENS)
async def test_a_genuine_callback_is_stored_with_its_call(
    anonymous: AsyncTestClient[Litestar],
    settings: Settings,
    database_url: str,
    token: str,
) -> None:
    query = urlencode({"ref": reference(settings, Purpose.SMS_STATUS)})
    answer = await call(anonymous, _FIELDS, query=query, token=token)
    assert answer.status_code == 204
    [row] = inbox(database_url)
    assert (row[0], row[2], row[4]) == (5, "twilio", 0)
    callback = opened(settings, row)
    assert callback.notification == _NOTIFICATION
    assert (callback.step, callback.fence) == (1, 3)
    assert (callback.status, callback.code) == ("undelivered", "30005")
    assert callback.provider_id == _FIELDS["MessageSid"]
    assert callback.raw == _FIELDS
    assert b"2025550123" not in row[5]


async def test_a_repeated_one_changes_nothing(
    anonymous: AsyncTestClient[Litestar],
    settings: Settings,
    database_url: str,
) -> None:
    query = urlencode({"ref": reference(settings, Purpose.SMS_STATUS)})
    assert (await call(anonymous, _FIELDS, query=query)).status_code == 204
    before = inbox(database_url)
    assert (await call(anonymous, _FIELDS, query=query)).status_code == 204
    assert inbox(database_url) == before
    sent = {**_FIELDS, "MessageStatus": "sent"}
    assert (await call(anonymous, sent, query=query)).status_code == 204
    assert len(inbox(database_url)) == 2


async def test_one_without_our_reference_is_kept_too(
    anonymous: AsyncTestClient[Litestar],
    settings: Settings,
    database_url: str,
) -> None:
    assert (await call(anonymous, _FIELDS)).status_code == 204
    wrong_purpose = urlencode({"ref": reference(settings, Purpose.PUSH_RECEIPT)})
    other = {**_FIELDS, "MessageSid": "SM" + "1" * 32}
    assert (await call(anonymous, other, query=wrong_purpose)).status_code == 204
    rows = inbox(database_url)
    assert [row[0] for row in rows] == [0, 0]
    assert {opened(settings, row).notification for row in rows} == {None}


async def test_a_forged_one_leaves_nothing(
    anonymous: AsyncTestClient[Litestar],
    settings: Settings,
    database_url: str,
) -> None:
    query = urlencode({"ref": reference(settings, Purpose.SMS_STATUS)})
    url = f"{_PATH}?{query}"
    form = {"content-type": "application/x-www-form-urlencoded"}
    right = RequestValidator(AUTH_TOKENS[0]).compute_signature(PUBLIC + url, _FIELDS)
    altered = {**_FIELDS, "MessageStatus": "delivered"}
    forged = [
        await call(anonymous, _FIELDS, query=query, token="guessed"),
        await call(anonymous, _FIELDS, query=query, signed_for="https://elsewhere.example"),
        await anonymous.post(url, content=urlencode(_FIELDS), headers=form),
        await anonymous.post(
            url,
            content=urlencode(altered),
            headers={**form, "X-Twilio-Signature": right},
        ),
        await anonymous.post(
            f"{_PATH}?ref=other",
            content=urlencode(_FIELDS),
            headers={**form, "X-Twilio-Signature": right},
        ),
        await anonymous.post(url, content=b"\xff\xfe=", headers={"X-Twilio-Signature": right}),
        await anonymous.post(url, headers={b"X-Twilio-Signature": b"\xfc"}),
    ]
    for answer in forged:
        assert_problem(answer, 403, "forged")
    assert inbox(database_url) == []
    figures = (await anonymous.get("/metrics")).text
    assert f'pruuf_forged_callbacks_total{{provider="twilio"}} {len(forged)}.0' in figures


async def test_a_genuine_one_about_no_message_is_refused(
    anonymous: AsyncTestClient[Litestar],
    database_url: str,
) -> None:
    assert_problem(await call(anonymous, {"MessageStatus": "sent"}), 400, "invalid")
    assert inbox(database_url) == []


@pytest.mark.parametrize("event", ["received", "opened"])
async def test_the_apps_receipt_is_stored_once(
    anonymous: AsyncTestClient[Litestar],
    settings: Settings,
    database_url: str,
    event: str,
) -> None:
    token = reference(settings, Purpose.PUSH_RECEIPT, ordinal=2)
    for _ in range(2):
        answer = await anonymous.post(
            "/v1/receipts/push",
            json={"receipt_token": token, "event": event},
        )
        assert answer.status_code == 204
    [row] = inbox(database_url)
    assert (row[0], row[2], row[4]) == (5, "app", 0)
    callback = opened(settings, row)
    assert (callback.notification, callback.status) == (_NOTIFICATION, event)
    assert (callback.step, callback.fence, callback.ordinal) == (1, 3, 2)


async def test_a_forged_receipt_leaves_nothing(
    anonymous: AsyncTestClient[Litestar],
    settings: Settings,
    database_url: str,
) -> None:
    genuine = reference(settings, Purpose.PUSH_RECEIPT)
    other_keys = ReferenceSigner([b"x" * 32])
    stranger = Reference(
        purpose=Purpose.PUSH_RECEIPT,
        notification=_NOTIFICATION,
        step=0,
        fence=1,
        lane=0,
    )
    for token in (
        "x",
        genuine[:-2],
        "B" + genuine[1:],
        reference(settings, Purpose.SMS_STATUS),
        other_keys.sign(stranger),
    ):
        answer = await anonymous.post(
            "/v1/receipts/push",
            json={"receipt_token": token, "event": "received"},
        )
        assert_problem(answer, 403, "forged")
    for body in ({"receipt_token": genuine, "event": "eaten"}, {"event": "opened"}):
        answer = await anonymous.post("/v1/receipts/push", json=body)
        assert_problem(answer, 400, "invalid")
    assert inbox(database_url) == []


async def test_while_the_database_is_away_the_provider_is_asked_to_come_back(
    make_settings: Callable[[str], Settings],
) -> None:
    away = make_settings("postgresql://pruuf@127.0.0.1:1/pruuf")
    async with AsyncTestClient(app=create_app(away)) as client:
        answer = await call(client, _FIELDS)
        assert_problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0


async def test_relays_are_woken_after_the_commit(
    anonymous: AsyncTestClient[Litestar],
    database_url: str,
) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as listener:
        await listener.execute("LISTEN pruuf")
        assert (await call(anonymous, _FIELDS)).status_code == 204
        heard = [n.payload async for n in listener.notifies(timeout=5, stop_after=1)]
    assert heard == ["inbox"]
