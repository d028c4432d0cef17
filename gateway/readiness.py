"""``/v1/recipients/{id}/readiness``: could this person be reached now, and how is that known?"""

from __future__ import annotations

from typing import Any, cast

from litestar import Request, Router, get

from gateway import examples
from gateway.auth import requires
from gateway.documented import Answer, documented
from gateway.problems import NOT_FOUND, Problem
from gateway.recipients import RecipientId
from gateway.resources import resources_of
from outbox.store import readiness
from outbox.store.connect import Connection
from outbox.store.keys import Scope
from outbox.store.readiness import Readiness


@get(
    "/{recipient:str}/readiness",
    # It is both: what is stored of a recipient, and what became of what was sent to them.
    guards=[requires(Scope.RECIPIENTS, Scope.READ)],
    opt=documented(
        scope=Scope.RECIPIENTS,
        answers={
            200: Answer(
                "Whether and how", Readiness, examples={"by text alone": examples.READINESS}
            ),
        },
        problems=(NOT_FOUND,),
    ),
)
async def get_readiness(request: Request[Any, Any, Any], recipient: RecipientId) -> Readiness:
    """Read whether somebody could be reached now, by which channels, and when each last worked.

    The scope `read` will do as well. Somebody who is not stored is known by what was sent to them.
    """
    resources = resources_of(request)
    async with resources.engine.connect() as pooled:
        raw = await pooled.get_raw_connection()
        connection = cast("Connection", raw.driver_connection)
        found = await readiness.readiness(connection, resources.sealer, recipient)
    if found is None:
        raise Problem(NOT_FOUND, "nothing is known of this recipient")
    return found


router = Router("/v1/recipients", route_handlers=[get_readiness], tags=["recipients"])
