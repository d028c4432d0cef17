"""Test clocks as Stripe has them: made, advanced asynchronously, deleted with their customers."""

from __future__ import annotations

from outbox.simulators.stripe import lists, periods, states
from outbox.simulators.stripe.errors import Refusal, required
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Page, Routes, World

KIND = "test_helpers.test_clock"
_DELETED_AFTER_S = 30 * 86_400
_YEAR_S = 366 * 86_400
_INTERVALS = 2


def create(world: World, call: Call) -> Object:
    """A clock that stands still."""
    params = call.params.only("frozen_time", "name")
    frozen = params.integer("frozen_time", least=0)
    if frozen is None:
        raise required("frozen_time")
    at = world.clocks.account.now()
    clock = world.new(
        KIND,
        "clock",
        at,
        {
            "deletes_after": at + _DELETED_AFTER_S,
            "frozen_time": frozen,
            "name": params.text("name"),
            "status": "ready",
            "status_details": {},
        },
    )
    world.keep(clock)
    world.emit("test_helpers.test_clock.created", clock)
    return clock


def retrieve(world: World, call: Call) -> Object:
    """One clock."""
    call.params.only()
    found: Object = world.need(KIND, call.id)
    return found


def find(world: World, call: Call) -> Page:
    """A list."""
    return lists.objects(world, call, KIND)


def advance(world: World, call: Call) -> Object:
    """Start to advance: it is done when the status is ready again."""
    params = call.params.only("frozen_time")
    clock: Object = world.need(KIND, call.id)
    to = params.integer("frozen_time", least=0)
    if to is None:
        raise required("frozen_time")
    if clock["status"] != "ready":
        message = "Test clock advancement underway - cannot perform modifications."
        raise Refusal(message, status=429, code="lock_timeout")
    if to <= clock["frozen_time"]:
        message = "Clock advancement to a time in the past, or to the present, is impossible."
        raise Refusal(message, param="frozen_time")
    if to > _furthest(world, clock):
        message = "Cannot advance more than two intervals from the current frozen time."
        raise Refusal(message, param="frozen_time")
    clock |= {"status": "advancing", "status_details": {"advancing": {"target_frozen_time": to}}}
    world.keep(clock)
    world.emit("test_helpers.test_clock.advancing", clock)
    world.advancing.append(clock["id"])
    return clock


def arrived(world: World, clock: Object, to: int) -> None:
    """All that was due is done."""
    world.clocks.of(clock["id"]).frozen = to
    clock |= {"frozen_time": to, "status": "ready", "status_details": {}}
    world.keep(clock)
    world.emit("test_helpers.test_clock.ready", clock)


def delete(world: World, call: Call) -> Object:
    """Delete it, and all customers that lived by it."""
    call.params.only()
    clock: Object = world.need(KIND, call.id)
    for customer in list(world.store.all("customer").values()):
        if customer["test_clock"] == call.id and not customer.get("deleted"):
            for subscription in list(world.store.of("subscription", customer["id"])):
                if subscription["status"] not in states.ENDED:
                    states.end(world, subscription)
            customer["deleted"] = True
            world.keep(customer)
    world.emit("test_helpers.test_clock.deleted", clock)
    world.store.drop(KIND, [call.id])
    return {"id": call.id, "object": KIND, "deleted": True}


def _furthest(world: World, clock: Object) -> int:
    """Two of the shortest intervals from now; two years when nobody subscribes."""
    now = int(clock["frozen_time"])
    furthest = now + _INTERVALS * _YEAR_S
    for customer in world.store.all("customer").values():
        if customer["test_clock"] != clock["id"]:
            continue
        for subscription in world.store.of("subscription", customer["id"]):
            if subscription["status"] in states.ENDED:
                continue
            recurring = subscription["items"]["data"][0]["price"]["recurring"]
            furthest = min(furthest, periods.after(now, recurring, _INTERVALS))
    return furthest


ROUTES: Routes = {
    ("POST", "test_helpers/test_clocks"): create,
    ("GET", "test_helpers/test_clocks"): find,
    ("GET", "test_helpers/test_clocks/*"): retrieve,
    ("POST", "test_helpers/test_clocks/*/advance"): advance,
    ("DELETE", "test_helpers/test_clocks/*"): delete,
}
