"""Asking for one-time codes and guessing them, as tests do; and what the outbox holds of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from litestar import Litestar
from litestar.testing import AsyncTestClient

from gateway.app import create_app
from outbox.domain import content as contents
from outbox.domain.policy import Codes
from outbox.domain.texts import sms_text
from outbox.sealing import Sealer
from outbox.settings import Settings
from outbox.store.keys import Scope

from .conftest import MakeKey, rows

PATH = "/v1/verifications"
PHONE = "+12025550123"
Api = AsyncTestClient[Litestar]


async def asked(api: Api, phone: str = PHONE, **more: object) -> dict[str, Any]:
    answer = await api.post(PATH, json={"phone": phone, **more})
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"id", "expires_at"}
    return body


async def guessed(api: Api, verification: str, code: str) -> tuple[str, int]:
    answer = await api.post(f"{PATH}/{verification}/check", json={"code": code})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"status", "checks_left"}
    return body["status"], body["checks_left"]


class Sent(msgspec.Struct):
    """What the outbox holds for a verification."""

    notification: UUID
    code: str
    phone: str
    text: str


class Outbox:
    """Reads with the keys what is sealed."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.require_database()
        self.sealer = Sealer(settings.keys, settings.lookup_keys)

    def sent(self, verification: str) -> Sent | None:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "SELECT n.id, n.template, n.locale, n.content FROM verification v"
                " JOIN notification n ON n.id = v.notification WHERE v.id = %s",
                (verification,),
            ).fetchone()
        if row is None:
            return None
        identity, template, locale, sealed = row
        plain = self.sealer.unseal(sealed, table="notification", row=str(identity), field="content")
        content = contents.decode(plain)
        text = sms_text(template, locale, content, "0123ABCD")
        return Sent(identity, content.code or "", content.phone or "", text)

    def code(self, verification: str) -> str:
        sent = self.sent(verification)
        assert sent is not None
        return sent.code

    def refused(self, verification: str) -> str | None:
        query = f"SELECT refused FROM verification WHERE id = '{verification}'"
        [(refused,)] = rows(self.url, query)
        return None if refused is None else str(refused)


def wrong(code: str, turn: int = 1) -> str:
    return f"{(int(code) + turn) % 1_000_000:06d}"


Limited = Callable[..., Awaitable[Api]]


@asynccontextmanager
async def gateways(settings: Settings, make_key: MakeKey) -> AsyncIterator[Limited]:
    """Makes gateways with other limits than the defaults."""
    async with AsyncExitStack() as stack:

        async def make(**limits: Any) -> Api:  # noqa: ANN401 - the fields of `Codes`
            codes = msgspec.structs.replace(Codes(), **limits)
            policy = msgspec.structs.replace(settings.policy, codes=codes)
            app = create_app(msgspec.structs.replace(settings, policy=policy))
            client = await stack.enter_async_context(AsyncTestClient(app=app))
            client.headers["Authorization"] = make_key(Scope.EVENTS)
            return client

        yield make
