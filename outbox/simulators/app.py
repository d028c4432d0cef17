"""The ASGI application: who answers which path, the faults that strike, and what was answered."""

from __future__ import annotations

import asyncio

from outbox.simulators import asgi, fcm, google_tokens, twilio_refusals
from outbox.simulators.asgi import Receive, Reply, Request, Scope, Send, json_reply
from outbox.simulators.callbacks import Callbacks
from outbox.simulators.control import Control
from outbox.simulators.credentials import Credentials
from outbox.simulators.faults import Faults, Provider
from outbox.simulators.fcm import PROJECT, Fcm
from outbox.simulators.fcm_topics import Topics, is_topics
from outbox.simulators.inbound import InboundTexts
from outbox.simulators.ledger import Ledger
from outbox.simulators.ledger_reads import LedgerReads
from outbox.simulators.opt_outs import OptOuts
from outbox.simulators.outcomes import Delays
from outbox.simulators.stripe.parts import Stripe
from outbox.simulators.twilio import Twilio

_SEND = "/messages:send"
_OUTAGES = {"twilio": twilio_refusals.outage, "fcm": fcm.outage}


class Simulators:
    """All providers on one port."""

    def __init__(  # noqa: PLR0913 - the parts of a simulation
        self,
        *,
        ledger: Ledger,
        reads: LedgerReads,
        callbacks: Callbacks,
        faults: Faults,
        delays: Delays,
        stripe: Stripe,
        credentials: Credentials,
        app: str | None,
    ) -> None:
        """``app``: where the app acknowledges and texts come in; null: neither happens."""
        self._ledger = ledger
        self._faults = faults
        opt_outs = OptOuts(ledger)
        self._twilio = Twilio(
            ledger=ledger,
            reads=reads,
            callbacks=callbacks,
            faults=faults,
            delays=delays,
            opt_outs=opt_outs,
            credentials=credentials,
        )
        self._topics = Topics(ledger, project=PROJECT)
        self._fcm = Fcm(ledger=ledger, callbacks=callbacks, faults=faults, delays=delays, app=app)
        self._stripe = stripe
        self._control = Control(
            ledger=ledger,
            reads=reads,
            callbacks=callbacks,
            faults=faults,
            topics=self._topics,
            credentials=credentials,
            texts=InboundTexts(
                callbacks=callbacks,
                faults=faults,
                opt_outs=opt_outs,
                credentials=credentials,
                app=app,
            ),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = await asgi.read(scope, receive)
        reply = await self._route(request)
        delivered = await asgi.answer(reply, request, receive, send)
        if delivered and reply.accepted is not None:
            self._ledger.answered(reply.accepted)

    async def _route(self, request: Request) -> Reply:
        path = request.path
        if path.startswith("/2010-04-01/"):
            return await self._provider("twilio", request)
        if path.endswith(_SEND) or is_topics(path):
            return await self._provider("fcm", request)
        if path.startswith(("/v1/", "/v2/")):
            return self._counted("stripe", await self._stripe.api.handle(request))
        if path == "/token" and request.method == "POST":
            return google_tokens.token_reply(request)
        if path.startswith("/_sim/"):
            theirs = path == "/_sim/clock" or path.startswith("/_sim/stripe/")
            return await (self._stripe.control if theirs else self._control).handle(request)
        return json_reply(404, {"error": f"nothing is simulated at {path}"})

    async def _provider(self, provider: Provider, request: Request) -> Reply:
        struck = self._faults.strike(provider)
        if struck is not None:
            if struck.latency_ms:
                await asyncio.sleep(struck.latency_ms / 1000)
            if struck.status is not None:
                reply = _OUTAGES[provider](struck.status, struck.retry_after)
                self._control.refused[provider, f"fault {struck.status}"] += 1
                return reply
        if provider == "twilio":
            reply = await self._twilio.handle(request)
        elif request.path.endswith(_SEND):
            reply = await self._fcm.send(request)
        else:
            reply = await self._topics.handle(request)
        if struck is not None and struck.drop:
            reply.drop = True
        return self._counted(provider, reply)

    def _counted(self, provider: Provider, reply: Reply) -> Reply:
        if reply.refused is not None:
            self._control.refused[provider, reply.refused] += 1
        return reply
