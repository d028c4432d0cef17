"""The HTTP side of the simulated Stripe: keys, faults, idempotency, answers, the ledger's lines."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from outbox.simulators.asgi import Reply, Request
from outbox.simulators.credentials import Credentials
from outbox.simulators.faults import Fault, Faults
from outbox.simulators.stripe import (
    catalog,
    customers,
    disputes,
    event_lists,
    expand,
    invoice_calls,
    pages,
    payment_methods,
    payment_reads,
    refunds,
    subscription_reads,
    subscriptions,
    test_clocks,
)
from outbox.simulators.stripe.clockwork import Clockwork
from outbox.simulators.stripe.errors import Refusal, outage
from outbox.simulators.stripe.events import API_VERSION
from outbox.simulators.stripe.forms import Params, decode
from outbox.simulators.stripe.idempotency import Keys
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Handler, Page, World

_ROUTES: dict[tuple[str, str], Handler] = {
    **customers.ROUTES,
    **payment_methods.ROUTES,
    **catalog.ROUTES,
    **subscription_reads.ROUTES,
    **subscriptions.ROUTES,
    **invoice_calls.ROUTES,
    **payment_reads.ROUTES,
    **refunds.ROUTES,
    **disputes.ROUTES,
    **pages.ROUTES,
    **event_lists.ROUTES,
    **test_clocks.ROUTES,
}
_VERSION = re.compile(r"20\d\d-\d\d-\d\d(\.[a-z]+)?")
_NOT_BEGUN = frozenset({"parameter_unknown", "parameter_missing", "rate_limit", "lock_timeout"})
"""Errors that say that nothing was tried: no key keeps them."""
STORED = frozenset({400, 402, 404, 424, 500})
"""Faults with these statuses are answers of a call that had begun: its key keeps them."""

_encode = msgspec.json.Encoder().encode


class StripeApi:
    """Answers ``/v1/`` and ``/v2/``."""

    def __init__(
        self,
        *,
        world: World,
        clockwork: Clockwork,
        faults: Faults,
        keys: Keys,
        credentials: Credentials,
    ) -> None:
        """All of them are shared with the control."""
        self._world = world
        self._clockwork = clockwork
        self._faults = faults
        self._keys = keys
        self._credentials = credentials

    async def handle(self, request: Request) -> Reply:
        """Answer one request."""
        name = f"req_{os.urandom(7).hex()}"
        try:
            _authenticate(request, self._credentials.stripe_keys)
            version = _version(request)
            struck = self._strike()
            reply = await self._begun(request, name, struck)
            reply.drop = reply.drop or (struck is not None and struck.drop)
        except Refusal as refusal:
            reply, version = _refused(refusal, name), API_VERSION
        reply.headers = (*reply.headers, (b"stripe-version", version.encode()))
        return reply

    def _strike(self) -> Fault | None:
        """The fault of this call; those that strike before anything begins raise."""
        struck = self._faults.strike("stripe")
        if struck is not None and struck.status is not None and struck.status not in STORED:
            raise outage(struck.status, struck.code, struck.retry_after)
        return struck

    async def _begun(self, request: Request, name: str, struck: Fault | None) -> Reply:
        key = request.header(b"idempotency-key").decode("latin-1")
        keyed = bool(key) and request.method == "POST"
        text = request.body.decode("utf-8", "replace")
        call = f"{request.method} {request.path} {text}"
        if keyed:
            kept = self._keys.begin(key, call)
            if kept is not None:
                return _replayed(kept, name, key)
        try:
            if struck is not None and struck.latency_ms:
                await asyncio.sleep(struck.latency_ms / 1000)
            reply, refusal = self._answer(request, name, key, struck)
            if keyed and (refusal is None or refusal.code not in _NOT_BEGUN):
                body = reply.body.decode()
                self._keys.keep(key, call, status=reply.status, body=body, request=name)
            await self._world.store.commit()
        finally:
            self._keys.release(key)
        self._clockwork.wake()
        if key:
            reply.headers = (*reply.headers, (b"idempotency-key", key.encode("latin-1")))
        return reply

    def _answer(
        self,
        request: Request,
        name: str,
        key: str,
        struck: Fault | None,
    ) -> tuple[Reply, Refusal | None]:
        world = self._world
        world.cause = (name, key or None)
        mutates = request.method != "GET"
        what = f"{request.method} {request.path}"
        try:
            if struck is not None and struck.status is not None:
                raise outage(struck.status, struck.code, struck.retry_after)
            params = _params(request)
            handler, what, ids = _find(request)
            value = handler(world, Call(params=params, ids=ids, path=request.path))
            body = _encode(self._shown(value, params.strings("expand")))
        except Refusal as refusal:
            reply = _refused(refusal, name)
            if mutates and refusal.status == 402 and struck is None:  # noqa: PLR2004 - declined
                reply.accepted = self._record(name, key, what, {}, refusal.status)
            return reply, refusal
        finally:
            world.cause = (None, None)
        reply = Reply(200, body, headers=_headers(name))
        if mutates and isinstance(value, dict):
            reply.accepted = self._record(name, key, what, value, 200)
        return reply, None

    def _record(self, name: str, key: str, what: str, value: Object, status: int) -> str:
        kind, own = value.get("object"), value.get("id", "")
        text = {"what": what, "id": own, "status": status}
        to = own if kind == "customer" else value.get("customer") or ""
        self._world.record(name, to=to, reference=key, text=text)
        return name

    def _shown(self, value: Object | Page, paths: list[str]) -> Object:
        world = self._world
        if not isinstance(value, Page):
            return expand.expanded(world, value, paths)
        rows = value.rows
        if paths:
            inner = [path.removeprefix("data.") for path in paths]
            rows = [expand.expanded(world, row, inner) for row in rows]
        shown: Object = {
            "object": "search_result" if value.search else "list",
            "data": rows,
            "has_more": value.has_more,
            "url": value.url,
        }
        if value.search:
            shown["next_page"] = value.next_page
        return shown


def _headers(name: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"request-id", name.encode()),)


def _refused(refusal: Refusal, name: str) -> Reply:
    reply = Reply(refusal.status, _encode(refusal.body(name)), headers=_headers(name))
    reply.refused, reply.retry_after = refusal.code or str(refusal.status), refusal.retry_after
    if refusal.code in {"lock_timeout", "idempotency_key_in_use"}:
        reply.headers = (*reply.headers, (b"stripe-should-retry", b"true"))
    return reply


def _replayed(kept: Mapping[str, Any], name: str, key: str) -> Reply:
    return Reply(
        kept["status"],
        kept["body"].encode(),
        headers=(
            *_headers(name),
            (b"idempotency-key", key.encode("latin-1")),
            (b"idempotent-replayed", b"true"),
            (b"original-request", kept["request"].encode()),
            (b"stripe-should-retry", b"false"),
        ),
    )


def _version(request: Request) -> str:
    version = request.header(b"stripe-version").decode("latin-1") or API_VERSION
    if not _VERSION.fullmatch(version):
        message = f"Invalid Stripe API version: {version}"
        raise Refusal(message)
    return version


def _authenticate(request: Request, accepted: Collection[str]) -> None:
    scheme, _, value = request.header(b"authorization").decode("latin-1").partition(" ")
    if scheme == "Basic":
        try:
            value = base64.b64decode(value, validate=True).decode("latin-1").partition(":")[0]
        except ValueError:
            value = ""
    if not value:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization"
            " header, using Bearer auth."
        )
        raise Refusal(message, status=401)
    if value not in accepted:
        message = f"Invalid API Key provided: {value[:8]}{'*' * 12}"
        raise Refusal(message, status=401)


def _params(request: Request) -> Params:
    if request.method == "POST":
        return Params(decode(request.body.decode("utf-8", "replace")))
    return Params(decode(request.query_string.decode("latin-1")))


def _find(request: Request) -> tuple[Handler, str, tuple[str, ...]]:
    _, version, *parts = request.path.split("/")
    routes = _ROUTES if version == "v1" else event_lists.V2_ROUTES
    for pattern, ids in _patterns(parts):
        handler = routes.get((request.method, pattern))
        if handler is not None:
            return handler, f"{request.method} {pattern}", ids
    message = f"Unrecognized request URL ({request.method}: {request.path})."
    raise Refusal(message, status=404)


def _patterns(parts: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """What a path may be, fixed words first; an id is at one or two of its places."""
    found: list[tuple[str, tuple[str, ...]]] = [("/".join(parts), ())]
    for n in range(len(parts) - 1, 0, -1):
        masked = [*parts]
        masked[n] = "*"
        found.append(("/".join(masked), (parts[n],)))
    return found
