"""``/webhooks/stripe``: believed by their signature alone, stored as they came, then answered."""

from __future__ import annotations

import time
from typing import Any

from litestar import Request, Response, Router, post
from litestar.params import RawBody

from gateway import billing_examples as examples
from gateway.documented import Answer, Body, documented
from gateway.problems import FORGED, FieldError, Problem, invalid
from gateway.resources import resources_of
from gateway.stripe_signature import is_genuine
from outbox.domain.billing_facts import STRIPE
from outbox.domain.billing_webhooks import MalformedEventError, decode
from outbox.store.billing_inbox import sealed_event


@post(
    "/stripe",
    status_code=204,
    opt=documented(
        bodies={
            "application/json": Body(dict[str, Any], {"a trial began": examples.STRIPE_EVENT}),
        },
        security="stripeSignature",
        answers={204: Answer("Stored, now or before; it is applied afterwards")},
        problems=(FORGED,),
    ),
)
async def stripe_event(request: Request[Any, Any, Any], body: RawBody) -> Response[None]:
    """Take an event of Stripe, of any type. Forged: nothing is stored; repeated: nothing changes.

    Times that lie more than five minutes in the past or the future are not believed either.
    """
    resources = resources_of(request)
    settings = resources.settings.stripe
    genuine = settings is not None and is_genuine(
        request.headers.get("stripe-signature"),
        body,
        secrets=settings.webhook_secrets,
        now=time.time(),
    )
    if not genuine:
        resources.metrics.forged.labels(STRIPE).inc()
        raise Problem(FORGED, "this was not signed with a secret that is configured here")
    try:
        event = decode(body)
    except MalformedEventError as error:
        raise invalid([FieldError("$", str(error), "an event of Stripe")]) from None
    if await resources.inbox.submit(sealed_event(resources.sealer, event, body)):
        resources.metrics.inbox_stored.labels(STRIPE).inc()
        resources.waker.wake_inbox()
    return Response(None, status_code=204)


router = Router("/webhooks", route_handlers=[stripe_event], tags=["callbacks"])
