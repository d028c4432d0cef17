"""Subscriptions and their items as they are read: one, a list, a search."""

from __future__ import annotations

from outbox.simulators.stripe import lists, states
from outbox.simulators.stripe.store import Object
from outbox.simulators.stripe.world import Call, Page, Routes, World

_KIND = "subscription"
_STATUSES = (
    *("incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled"),
    *("unpaid", "paused", "all", "ended"),
)


def retrieve(world: World, call: Call) -> Object:
    """One subscription."""
    call.params.only()
    found: Object = world.need(_KIND, call.id)
    return found


def find(world: World, call: Call) -> Page:
    """A list; those that are canceled only where they are asked for."""
    status = call.params.choice("status", _STATUSES, "") if "status" in call.params else ""

    def accept(row: Object) -> bool:
        if status == "ended":
            return row["status"] in states.ENDED
        if status == "all":
            return True
        return bool(row["status"] == status if status else row["status"] != "canceled")

    price = call.params.text("price")
    return lists.objects(
        world,
        call,
        _KIND,
        parents=("customer",),
        equal=("test_clock",),
        more=("status", "price"),
        accept=lambda row: (
            accept(row)
            and (price is None or any(i["price"]["id"] == price for i in row["items"]["data"]))
        ),
    )


def search(world: World, call: Call) -> Page:
    """By metadata and other fields."""
    return lists.search(world, call, _KIND)


def items(world: World, call: Call) -> Page:
    """The items of one subscription."""
    call.params.only(*lists.PAGING, "subscription")
    subscription = world.need(
        _KIND,
        call.params.needed("subscription"),
        param="subscription",
    )
    data = {item["id"]: item for item in subscription["items"]["data"]}
    return lists.page(call, reversed(data.values()), data.get)


ROUTES: Routes = {
    ("GET", "subscriptions"): find,
    ("GET", "subscriptions/search"): search,
    ("GET", "subscriptions/*"): retrieve,
    ("GET", "subscription_items"): items,
}
