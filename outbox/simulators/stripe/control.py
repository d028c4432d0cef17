"""``/_sim/clock`` and ``/_sim/stripe/…``: what the dashboard, cardholders, banks and time do."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from outbox.simulators.asgi import Reply, Request, json_reply
from outbox.simulators.stripe import (
    cards,
    collection,
    disputes,
    event_lists,
    pages,
)
from outbox.simulators.stripe.clockwork import Clockwork
from outbox.simulators.stripe.errors import Refusal
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.sums import sums
from outbox.simulators.stripe.world import World

_DAY_S = 86_400
_ENDS = ("cancel", "unpaid", "past_due")
_FURTHEST = 4_102_444_800
"""The year 2100."""
_SETTINGS = frozenset(
    {"dunning_end", "retry_days", "api_version", "secrets", "types", "signatures"}
)


class _Clock(msgspec.Struct, forbid_unknown_fields=True):
    """How the account's clock is moved."""

    to: datetime | int | None = None
    advance_s: int | None = None
    advance_days: int | None = None
    frozen: bool | None = None
    """Null: as it was."""
    wait: bool = True
    """Answer when all webhooks that became due were tried."""


class StripeControl:
    """What is no part of Stripe's API."""

    def __init__(self, *, world: World, clockwork: Clockwork) -> None:
        """All of them are shared with the API."""
        self._world = world
        self._clockwork = clockwork
        self._acts: dict[str, Callable[[dict[str, Any]], Object]] = {
            "settings": self._set,
            "pages": self._page,
            "cards": self._card,
            "disputes": self._dispute,
            "warnings": self._warning,
            "confirmations": self._confirmation,
            "events": self._event,
        }

    async def handle(self, request: Request) -> Reply:
        """Answer a request below ``/_sim/stripe/``, or ``/_sim/clock``."""
        if request.path == "/_sim/clock":
            return await self._clock(request)
        name = request.path.removeprefix("/_sim/stripe/")
        if request.method == "GET":
            return await self._read(request, name)
        if name == "settled":
            await self._world.webhooks.settled()
            return json_reply(200, self._time())
        act = self._acts.get(name)
        if act is None or request.method != "POST":
            return _nothing(request)
        return await self._done(act, request)

    async def _read(self, request: Request, name: str) -> Reply:
        if name == "settings":
            return json_reply(200, self._settings())
        if name == "webhooks":
            return json_reply(200, self._world.webhooks.counted)
        if name == "sums":
            found = await sums(self._world.store.path, request.query().get("customer"))
            return json_reply(200, found)
        return _nothing(request)

    async def _done(self, act: Callable[[dict[str, Any]], Object], request: Request) -> Reply:
        try:
            asked = msgspec.json.decode(request.body, type=dict[str, Any])
            shown = act(asked)
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
            return json_reply(400, {"error": f"{type(error).__name__}: {error}"})
        except Refusal as refusal:
            await self._world.store.commit()
            self._clockwork.wake()
            return json_reply(refusal.status, refusal.body("req_control"))
        await self._world.store.commit()
        self._clockwork.wake()
        return json_reply(200, shown)

    async def _clock(self, request: Request) -> Reply:
        if request.method == "GET":
            return json_reply(200, self._time())
        if request.method != "POST":
            return json_reply(405, {"error": "GET or POST"})
        account = self._world.clocks.account
        try:
            wanted = msgspec.json.decode(request.body or b"{}", type=_Clock)
            to = _target(wanted, account.now())
        except (msgspec.MsgspecError, ValueError) as error:
            return json_reply(400, {"error": str(error)})
        frozen = account.frozen is not None if wanted.frozen is None else wanted.frozen
        started = time.monotonic()
        done = await self._clockwork.move(to, frozen=frozen)
        if wanted.wait:
            await self._world.webhooks.settled()
            await self._world.store.commit()
        took = round(time.monotonic() - started, 3)
        return json_reply(200, {**self._time(), "done": done, "took_s": took})

    def _time(self) -> Object:
        account = self._world.clocks.account
        at = account.now()
        shown = datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"now": at, "time": shown, "frozen": account.frozen is not None}

    def _settings(self) -> Object:
        world = self._world
        return {
            **world.settings,
            "api_version": world.events.version,
            "secrets": world.webhooks.secrets,
            "types": world.webhooks.types,
            "signatures": "wall" if world.webhooks.wall else "clock",
        }

    def _set(self, asked: dict[str, Any]) -> Object:
        """The account's settings, those of the dashboard among them."""
        world = self._world
        unknown = asked.keys() - _SETTINGS
        if unknown:
            msg = f"no setting {min(unknown)}; there are {sorted(_SETTINGS)}"
            raise ValueError(msg)
        if asked.get("dunning_end", "cancel") not in _ENDS:
            msg = f"dunning_end: one of {_ENDS}"
            raise ValueError(msg)
        for name in ("dunning_end", "retry_days", "api_version"):
            if name in asked:
                world.settings[name] = asked[name]
        world.events.version = world.settings.get("api_version", world.events.version)
        if "secrets" in asked:
            world.webhooks.secrets = tuple(map(str, asked["secrets"]))
        if "types" in asked:
            types = asked["types"]
            world.webhooks.types = None if types is None else tuple(map(str, types))
        if "signatures" in asked:
            world.webhooks.wall = asked["signatures"] == "wall"
        world.webhooks.keep()
        world.store.put("meta", "settings", world.settings)
        return self._settings()

    def _page(self, asked: dict[str, Any]) -> Object:
        """Somebody enters a card into a hosted page."""
        return pages.fill_in(self._world, asked["session"], asked.get("card", "pm_card_visa"))

    def _card(self, asked: dict[str, Any]) -> Object:
        """A card turns into another kind, or its issuer gives it a new expiry."""
        world, name = self._world, asked["payment_method"]
        method: Object = world.need("payment_method", name)
        if "becomes" in asked:
            if cards.find(asked["becomes"]) is None:
                msg = f"becomes: a magic payment method, not {asked['becomes']}"
                raise ValueError(msg)
            world.know(name, magic=asked["becomes"])
        expiry = {part: int(asked[part]) for part in ("exp_month", "exp_year") if part in asked}
        if expiry:
            with world.changing("payment_method.automatically_updated", method):
                method["card"] |= expiry
        return method

    def _dispute(self, asked: dict[str, Any]) -> Object:
        """A cardholder disputes a charge, or the bank decides."""
        world = self._world
        if "dispute" in asked:
            won = bool(asked.get("won"))
            return disputes.close(world, world.need("dispute", asked["dispute"]), won=won)
        reason = str(asked.get("reason", "fraudulent"))
        return disputes.open_for(world, self._charge(asked), reason)

    def _warning(self, asked: dict[str, Any]) -> Object:
        """The issuer suspects fraud."""
        return disputes.warn(self._world, self._charge(asked))

    def _charge(self, asked: dict[str, Any]) -> Object:
        """The charge named, or the newest good one of a customer."""
        world = self._world
        if "charge" in asked:
            found: Object = world.need("charge", asked["charge"])
            return found
        owned = world.store.of("charge", asked["customer"])
        good: Object | None = next(
            (one for one in owned if one["paid"] and not one["disputed"]), None
        )
        if good is None:
            msg = "this customer has no charge that could be disputed"
            raise ValueError(msg)
        return good

    def _confirmation(self, asked: dict[str, Any]) -> Object:
        """A customer does what a payment asks them for."""
        world = self._world
        invoice: Object = world.need("invoice", asked["invoice"])
        refusal = collection.collect(world, invoice, automatic=False, confirmed=True)
        if refusal is not None:
            raise refusal
        return invoice

    def _event(self, asked: dict[str, Any]) -> Object:
        """An event is delivered again, or a thin one is made."""
        world = self._world
        if "resend" in asked:
            event = world.events.get(asked["resend"])
            if event is None:
                msg = f"no event {asked['resend']}"
                raise ValueError(msg)
            world.webhooks.again(event)
            return event.shown()
        made = event_lists.thin(world, asked["thin"], asked["about"], asked["kind"])
        return {"id": made.id, "type": made.type}


def _nothing(request: Request) -> Reply:
    return json_reply(404, {"error": f"there is no {request.method} {request.path}"})


def _target(wanted: _Clock, now: int) -> int:
    if isinstance(wanted.to, datetime):
        if wanted.to.tzinfo is None:
            msg = "to: a time with its zone, such as 2026-11-24T08:00:00Z"
            raise ValueError(msg)
        to = int(wanted.to.timestamp())
    else:
        to = now if wanted.to is None else wanted.to
    to += (wanted.advance_s or 0) + (wanted.advance_days or 0) * _DAY_S
    if not now <= to <= _FURTHEST:
        msg = "a clock goes only forwards, up to the year 2100"
        raise ValueError(msg)
    return to
