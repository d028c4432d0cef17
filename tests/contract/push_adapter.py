"""The push adapter against two loopback servers: FCM itself, and Google's token endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from outbox.domain.messages import AddressKind, Push
from outbox.providers.fcm import FcmPush
from outbox.providers.transport import PooledTransport
from outbox.settings import FcmSettings
from tests.contract.conftest import write_account
from tests.contract.loopback import Behaviour, Loopback, answer, serve

NOW = 1_795_000_000.0
ADDRESS = "c0ffee:APA91b-an_address"
PUSH = Push(
    address=ADDRESS,
    address_kind=AddressKind.TOKEN,
    title="Missed check-in",
    body="Ann Example missed a check-in – call her.",
    data={"notification_id": "n-1", "receipt_token": "r-1", "kind": "checkin.missed"},
    urgent=True,
    ttl_s=3600,
    tag="n-1",
)
TOKEN = answer(200, {"access_token": "t0k3n", "expires_in": 3599, "token_type": "Bearer"})
NAME = "projects/pruuf-test/messages/1"
TAKEN = answer(200, {"name": NAME})

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Google(NamedTuple):
    """The adapter and its two servers."""

    push: FcmPush
    fcm: Loopback
    tokens: Loopback


@asynccontextmanager
async def google(
    folder: Path,
    private_key: str,
    *behaviours: Behaviour,
    tokens: tuple[Behaviour, ...] = (TOKEN,),
    total_timeout_s: float = 5.0,
) -> AsyncIterator[Google]:
    async with (
        serve(*behaviours or (TAKEN,)) as fcm,
        serve(*tokens) as endpoint,
        PooledTransport(total_timeout_s=total_timeout_s) as transport,
    ):
        path = write_account(
            folder / "account.json",
            private_key=private_key,
            token_uri=f"{endpoint.url}/token",
        )
        push = FcmPush(
            FcmSettings(credentials=path, api_base=fcm.url),
            transport,
            now=lambda: NOW,
            total_timeout_s=total_timeout_s,
        )
        yield Google(push, fcm, endpoint)


def refusal(
    status: int,
    detail: str | None = None,
    *,
    field: str | None = None,
    **headers: str,
) -> Behaviour:
    """An error in FCM's shape; ``field`` is the one that it finds fault with."""
    details: list[dict[str, object]] = []
    if detail is not None:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        details.append({"@type": kind, "errorCode": detail})
    if field is not None:
        violations = [{"field": field, "description": f"not {ADDRESS}"}]
        kind = "type.googleapis.com/google.rpc.BadRequest"
        details.append({"@type": kind, "fieldViolations": violations})
    error = {
        "code": status,
        "message": f"no, {ADDRESS}",
        "status": _STATUSES.get(status, "UNKNOWN"),
        "details": details,
    }
    return answer(status, {"error": error}, **headers)
