"""Cassettes: requests and answers between an adapter and the native client, without any secret."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import vcr
from pyreqwest.compatibility.httpx import HttpxTransport
from vcr.cassette import Cassette
from vcr.request import Request

from outbox.providers.transport import Answer
from outbox.simulators.fcm import PROJECT
from outbox.simulators.twilio_messages import ACCOUNT_SID

FOLDER = Path(__file__).parent / "cassettes"

_KEPT = {"content-type", "retry-after", "idempotent-replayed"}
_TOKENS = ("access_token", "id_token")
_OF_AN_ACCOUNT = frozenset(
    {
        *("account_name", "calculated_statement_descriptor", "client_secret", "display_name"),
        *("fingerprint", "idempotency_key", "network_transaction_id", "receipt_number"),
        *("statement_descriptor", "statement_descriptor_suffix"),
    }
)
"""Fields of Stripe's objects that are secrets, or say whose account or card it is."""
_ROWS = 2
"""So much of a list is kept: a sandbox may have a hundred rows that are nobody's business here."""
_HIDDEN = "recorded"


class Carrier:
    """The native client behind httpx, where a recorder can listen."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float | None = None,
    ) -> Answer:
        answer = await self._http.request(
            method,
            url,
            headers=dict(headers),
            content=body,
            timeout=timeout_s,
        )
        names = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, names, answer.content)


@asynccontextmanager
async def carrier() -> AsyncIterator[Carrier]:
    async with httpx.AsyncClient(transport=HttpxTransport(), trust_env=False) as http:
        yield Carrier(http)


class _Neutral:
    """Takes out what is secret, of one account, or of one moment."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """``names``: what is called otherwise on the cassette."""
        self._names = names

    def text(self, text: str) -> str:
        text = re.sub(r"AC[0-9a-f]{32}", ACCOUNT_SID, text)
        text = re.sub(r"acct_\w+", "acct_recorded", text)
        text = re.sub(r"(projects/)[^/\"\s]+", rf"\g<1>{PROJECT}", text)
        text = re.sub(r"assertion=[^&]+", "assertion=signed", text)
        for name in _TOKENS:
            text = re.sub(rf'("{name}":\s*)"[^"]*"', rf'\1"{_HIDDEN}"', text)
        for real, shown in self._names.items():
            text = text.replace(real, shown)
        return text

    def asked(self, request: Request) -> Request | None:
        parts = httpx.URL(request.uri)
        if parts.path.startswith("/_sim/"):
            return None
        request.uri = self.text(str(parts.copy_with(scheme="http", host=_HIDDEN, port=None)))
        if request.body:
            request.body = self.text(request.body.decode()).encode()
        request.headers = {"content-type": request.headers.get("content-type", "")}
        return request

    def answered(self, response: dict[str, Any]) -> dict[str, Any]:
        headers = response["headers"]
        text = response["body"]["string"].decode()
        if any(name.lower() == "stripe-version" for name in headers):
            text = msgspec.json.encode(_of_stripe(msgspec.json.decode(text))).decode()
        response["body"]["string"] = self.text(text).encode()
        response["headers"] = {n: v for n, v in headers.items() if n.lower() in _KEPT}
        return response


def _of_stripe(value: Any, field: str = "") -> Any:  # noqa: ANN401 - JSON
    """Stripe's answer without secrets and addresses; raises where it is of real money."""
    match value:
        case dict():
            if value.get("livemode"):
                msg = "this is a live account: nothing is recorded from it"
                raise ValueError(msg)
            return {name: _of_stripe(inner, name) for name, inner in value.items()}
        case list():
            rows = value[:_ROWS] if field == "data" else value
            return [_of_stripe(inner) for inner in rows]
        case str() if field in _OF_AN_ACCOUNT:
            return _HIDDEN
        case str() if value.startswith(("https://", "http://")):
            return f"https://{_HIDDEN}.example/"
        case str():
            return re.sub(r"[^\s@]+@[^\s@]+", "someone@example.com", value)
        case _:
            return value


@asynccontextmanager
async def tape(
    name: str, *, record: bool = False, names: Mapping[str, str] | None = None
) -> AsyncIterator[Cassette]:
    """Play a cassette, or record it anew; a request that is not on it is an error."""
    if record:
        (FOLDER / name).unlink(missing_ok=True)
    neutral = _Neutral(names or {})
    recorder = vcr.VCR(
        cassette_library_dir=str(FOLDER),
        record_mode=vcr.record_mode.RecordMode.ALL if record else vcr.record_mode.RecordMode.NONE,
        match_on=("method", "path", "query", "body"),
        before_record_request=neutral.asked,
        before_record_response=neutral.answered,
    )
    with recorder.use_cassette(name) as cassette:
        yield cassette
