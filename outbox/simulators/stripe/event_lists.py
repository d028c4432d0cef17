"""Events as the API lists them, and thin ones of the second version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from outbox.simulators.stripe import lists
from outbox.simulators.stripe.errors import missing
from outbox.simulators.stripe.events import KEPT_S, Event
from outbox.simulators.stripe.forms import bounded
from outbox.simulators.stripe.store import Object, new_id
from outbox.simulators.stripe.world import Call, Page, Routes, World

_WANTED = ("created", "delivery_success", "type", "types")


def find(world: World, call: Call) -> Page:
    """Events of the last thirty days, the newest first."""
    params = call.params.only(*lists.PAGING, *_WANTED)
    size = lists.limit(params)
    after, before = params.text("starting_after"), params.text("ending_before")
    places = []
    for cursor, name in ((after, "starting_after"), (before, "ending_before")):
        event = world.events.get(cursor) if cursor else None
        if cursor is not None and event is None:
            lists.find_cursor(world.events.get, cursor, name)
        places.append(event.n if event is not None else None)
    rows = world.events.newest_first(older_than=places[0], newer_than=places[1])
    found = [event.shown() for event in _take(world, call, rows, size + 1)]
    shown = found[:size] if before is None else found[:size][::-1]
    return Page(shown, has_more=len(found) > size, url=call.path)


def _take(world: World, call: Call, rows: Iterator[Event], most: int) -> Iterator[Event]:
    params = call.params
    kinds = {params.text("type"), *params.strings("types")} - {None}
    families = tuple(kind[:-1] for kind in kinds if kind is not None and kind.endswith("*"))
    delivered = params.boolean("delivery_success") if "delivery_success" in params else None
    oldest = world.clocks.account.now() - KEPT_S
    timed = "created" in params
    for event in rows:
        if (
            event.thin
            or event.at < oldest
            or (kinds and event.type not in kinds and not event.type.startswith(families or "\0"))
            or (delivered is not None and delivered != (not event.pending))
            or (timed and not bounded(params, "created", event.created))
        ):
            continue
        yield event
        most -= 1
        if not most:
            return


def retrieve(world: World, call: Call) -> Object:
    """One event."""
    call.params.only()
    event = world.events.get(call.id)
    if event is None or event.thin:
        raise missing("event", call.id)
    return event.shown()


def thin(world: World, kind: str, about: str, what: str) -> Event:
    """An event of the second version: it names its object, and carries none."""
    at = world.clocks.account.now()
    name = new_id("evt")
    collection = {"customer": "customers", "subscription": "subscriptions", "invoice": "invoices"}
    value = {
        "id": name,
        "object": "v2.core.event",
        "context": None,
        "created": datetime.fromtimestamp(at, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "livemode": False,
        "reason": None,
        "related_object": {
            "id": about,
            "type": what,
            "url": f"/v1/{collection.get(what, what + 's')}/{about}",
        },
        "type": kind,
    }
    event = Event(
        id=name,
        n=world.events.next_n(),
        type=kind,
        created=at,
        at=at,
        version=world.events.version,
        data=msgspec.Raw(msgspec.json.encode(value)),
        about=about,
        thin=True,
    )
    world.events.add(event)
    return event


def retrieve_thin(world: World, call: Call) -> Object:
    """One event of the second version."""
    event = world.events.get(call.id)
    if event is None or not event.thin:
        raise missing("event", call.id)
    found: Object = msgspec.json.decode(event.data)
    return {**found, "data": {}, "changes": None, "snapshot_event": None}


ROUTES: Routes = {("GET", "events"): find, ("GET", "events/*"): retrieve}
V2_ROUTES: Routes = {("GET", "core/events/*"): retrieve_thin}
