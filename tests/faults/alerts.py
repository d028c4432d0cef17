"""Alerts that come by a given crash point: to whom they go decides it."""

from __future__ import annotations

from typing import Any

from outbox.simulators import magic
from tests.faults.point import Point
from tests.faults.stack import Stack, number, wait_for
from tests.faults.traffic import contact, event
from tests.faults.victims import LATE, QUESTIONS, ask, let_pass

DEVICES = 2


def alert(n: int, phone: str, *, only_id: bool = False) -> dict[str, Any]:
    """A missed check-in of the n-th Member, with one Contact."""
    return event("checkin.missed", n, {"id": f"c{n}"} if only_id else contact(n, phone))


def is_pushed(point: Point) -> bool:
    """Whether it lies on the way of a push."""
    return point.name.startswith(("push", "acknowledgement"))


def is_paged(point: Point) -> bool:
    """Whether it lies on the way of a page."""
    return point.name.startswith(("page", "settle of an alert"))


def way(point: Point, n: int) -> str:
    """A number whose alert comes by this point."""
    if is_pushed(point) or is_paged(point):
        return magic.number("landline", n)
    return magic.number("drop", n) if point.name.startswith("resolve") else number(n)


def register(stack: Stack, n: int) -> None:
    """Devices for the n-th Contact."""
    for device in range(DEVICES):
        body = {"token": f"sim-ok-{n}-{device}", "address_kind": "token", "platform": "android"}
        ask(stack, "PUT", f"/v1/recipients/c{n}/devices/d{device}", body)


def bring(stack: Stack, point: Point, n: int) -> None:
    """Let time pass for the n-th alert, where its point comes only later."""
    if point.name.startswith(("resolve", "late receipt")):
        which = QUESTIONS if point.name.startswith("resolve") else LATE
        of_it = f"notification IN (SELECT id FROM notification WHERE subject = 'm{n}')"
        which = f"{which} AND {of_it}"
        wait_for(
            lambda: bool(stack.query(f"SELECT 1 FROM due WHERE {which}")),
            within_s=30,
            what="its first call is settled",
        )
        let_pass(stack, which)
