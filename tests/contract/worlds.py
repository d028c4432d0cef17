"""Two worlds for one suite: raw servers that answer as documented, and the simulators.

Both take the magic numbers and tokens, so that the same test may run in either.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from outbox.providers.fcm import FcmPush
from outbox.providers.transport import PooledTransport
from outbox.providers.twilio import TwilioSms
from outbox.settings import TwilioSettings, load
from outbox.simulators import magic
from outbox.simulators.environment import environment
from tests.contract.loopback import Behaviour, Request, answer, hang_up, serve, silence
from tests.contract.push_adapter import TAKEN, google, refusal
from tests.contract.test_twilio_send import error, settings

TIMEOUT_S = 2.0
SLOW_S = 3.0

_REFUSED = {
    "invalid": error(400, 21211),
    "opted_out": error(400, 21610),
    "landline": error(400, 21614),
    "region": error(400, 21408),
    "unroutable": error(400, 21612),
    "credentials": error(401, 20003),
    "throttled": error(429, 20429, Retry_After="2"),
    "broken": error(500, 20500),
    "unavailable": error(503, 20503),
}
_PUSHES = {
    "malformed": refusal(400, "INVALID_ARGUMENT", field="message.token"),
    "unregistered": refusal(404, "UNREGISTERED"),
    "mismatch": refusal(403, "SENDER_ID_MISMATCH"),
    "quota": refusal(429, "QUOTA_EXCEEDED", Retry_After="2"),
    "unavailable": refusal(503, "UNAVAILABLE"),
    "internal": refusal(500, "INTERNAL"),
    "apns": refusal(401, "THIRD_PARTY_AUTH_ERROR"),
    "wrongproject": refusal(404),
    "drop": hang_up,
    "slow": silence,
}


class Twilios(NamedTuple):
    """An adapter with good credentials, one with wrong ones, and the account's first sender."""

    good: TwilioSms
    wrong: TwilioSms
    first: str


class _RawTwilio:
    """A server that answers as Twilio documents it, without being one."""

    def __init__(self, username: str, password: str) -> None:
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._authorization = f"Basic {credentials}"
        self._messages: list[dict[str, object]] = []

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        await self._answer(request)(request, writer)

    def _answer(self, request: Request) -> Behaviour:
        if request.headers.get("authorization") != self._authorization:
            return error(401, 20003)
        if request.method == "POST":
            return self._create(request.form)
        if request.path.endswith("/Messages.json"):
            found = [one for one in self._messages if one["to"] == request.query["To"]]
            return answer(200, {"messages": found, "next_page_uri": None})
        if "/Messages/" in request.path:
            named = (one for one in self._messages if f"{one['sid']}." in request.path)
            message = next(named, None)
            return error(404, 20404) if message is None else answer(200, message)
        return answer(200, {"sid": "AC" + "1" * 32, "status": "active"})

    def _create(self, form: dict[str, str]) -> Behaviour:
        first = form.get("From") == settings("").senders[0]
        name = magic.of_number(form["To"], first_sender=first).name
        if name in _REFUSED:
            return _REFUSED[name]
        message: dict[str, object] = {
            "sid": f"SM{len(self._messages):032x}",
            "status": "accepted" if "MessagingServiceSid" in form else "queued",
            "error_code": None,
            "to": form["To"],
            "body": form["Body"],
            "date_created": format_datetime(datetime.now(UTC)),
        }
        self._messages.insert(0, message)
        return {"drop": hang_up, "slow": silence}.get(name, answer(201, message))


@asynccontextmanager
async def twilios(simulated: str | None, folder: Path) -> AsyncIterator[Twilios]:
    """The Twilio adapters: at the simulators of this address, or at a raw server."""
    async with (
        serve(answer(204)) as gateway,
        PooledTransport(total_timeout_s=TIMEOUT_S) as transport,
    ):

        def adapters(account: TwilioSettings) -> Twilios:
            wrong = msgspec.structs.replace(account, password="wrong")
            callback = f"{gateway.url}/status"
            return Twilios(
                TwilioSms(account, transport, callback=callback),
                TwilioSms(wrong, transport, callback=callback),
                account.senders[0],
            )

        if simulated is not None:
            values = environment(base_url=simulated, folder=folder)
            yield adapters(load(values, cwd=folder).require_twilio())
            return
        async with serve(silence) as server:
            account = settings(server.url)
            server.then(_RawTwilio(account.username, account.password))
            yield adapters(account)


@asynccontextmanager
async def pushes(
    simulated: str | None,
    folder: Path,
    private_key: str,
) -> AsyncIterator[FcmPush]:
    """The push adapter: at the simulators of this address, or at raw servers."""
    if simulated is not None:
        values = environment(base_url=simulated, folder=folder)
        account = load(values, cwd=folder).require_fcm()
        async with PooledTransport(total_timeout_s=TIMEOUT_S) as transport:
            yield FcmPush(account, transport, total_timeout_s=TIMEOUT_S)
        return

    async def fcm(request: Request, writer: asyncio.StreamWriter) -> None:
        message = msgspec.json.decode(request.body)["message"]
        address = message.get("token") or message.get("fid") or ""
        await _PUSHES.get(magic.of_token(address).name, TAKEN)(request, writer)

    async with google(folder, private_key, fcm, total_timeout_s=TIMEOUT_S) as raw:
        yield raw.push
