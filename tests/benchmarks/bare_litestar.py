"""The limit of the framework: Litestar that decodes the same body, checks a key and answers.

No database, no sealing, no metrics. Runs under the same server and event loop as the gateway; the
key comes in ``PRUUF_API_KEY``, the port as the only argument.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import sys
import uuid
from typing import Any

import uvicorn
from litestar import Litestar, get, post
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers.base import BaseRouteHandler
from litestar.params import JSONBody
from msgspec import Struct

from gateway.schemas import CheckinConfirmed, CheckinMissed, MemberInvited

_EXPECTED = hashlib.sha256(os.environ.get("PRUUF_API_KEY", "").encode()).digest()


class Told(Struct):
    """One notification."""

    id: str
    recipient: str
    kind: str
    lane: str


class Accepted(Struct):
    """The answer, in the shape of ours."""

    event_id: str
    duplicate: bool
    notifications: list[Told]


def knows_the_key(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """One hash and one comparison."""
    token = connection.headers.get("authorization", "").removeprefix("Bearer ")
    if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), _EXPECTED):
        raise NotAuthorizedException


@post("/v1/events", guards=[knows_the_key], status_code=202)
async def accept(data: JSONBody[CheckinConfirmed | CheckinMissed | MemberInvited]) -> Accepted:
    """Decode, and answer."""
    contacts = [] if isinstance(data, MemberInvited) else data.data.contacts
    told = [
        Told(str(uuid.uuid4()), contact.id, str(data.__struct_config__.tag), "transactional")
        for contact in contacts
    ]
    return Accepted(str(uuid.uuid4()), duplicate=False, notifications=told)


@get("/healthz")
async def alive() -> str:
    """Say that it serves."""
    return "ok"


def main() -> None:
    """Serve until SIGTERM."""
    uvicorn.run(
        Litestar([accept, alive], logging_config=None, openapi_config=None),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        http="httptools",
        loop="uvloop",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=2048,
    )


if __name__ == "__main__":
    main()
