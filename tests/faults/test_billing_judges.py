"""The judges of a year of billing notice what they are there for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.faults.billing_books import PRICE, Books
from tests.faults.billing_people import Person, Stripe, Town
from tests.faults.billing_told import DAY_S, Told
from tests.faults.stack import Stack

_NOW = 1_800_000_000
_MONTH_S = 30 * DAY_S
_TRIAL = "Your free trial ends soon: It ends Jan 17 08:00."


class _Books(Stripe):
    """Stripe's lists, as a test wants them."""

    def __init__(self) -> None:
        super().__init__("http://nowhere")
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.charges: list[dict[str, Any]] = []

    def call(self, path: str, form: dict[str, Any] | None = None, **query: Any) -> Any:  # noqa: ANN401
        assert form is None
        rows, known = self.lists.get(path, []), query["ending_before"]
        place = next(n for n, each in enumerate(rows) if each["id"] == known)
        return {"data": rows[:place], "has_more": False}

    def every(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
        del query
        return iter(self.lists.get(path, []))

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        assert (path, body) == ("stripe/sums", None)
        return {"charges": self.charges}


class _Pushes:
    """What FCM accepted."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def since(self, at: datetime | None) -> list[dict[str, Any]]:
        return [each for each in self.sent if at is None or each["accepted_at"] >= at.isoformat()]

    def push(self, text: str, *, reference: str) -> None:
        at = datetime.fromtimestamp(_NOW + len(self.sent), UTC)
        self.sent.append(
            {
                "id": str(len(self.sent)),
                "to": "device-a0",
                "text": text,
                "reference": reference,
                "accepted_at": at.isoformat(),
            }
        )


class _World:
    """One Contact whose trial ends in two days."""

    def __init__(self) -> None:
        self.pushes = _Pushes()
        stack = cast("Stack", SimpleNamespace(simulators="http://nowhere"))
        self.town = Town(stack, random.Random(1), people=0, days=3)
        self.town.stripe = self.stripe = _Books()
        self.person = Person(id="a0", opens_on=0, role="contact", opened=True)
        self.town.people.append(self.person)
        self.trial = {
            "object": "subscription",
            "id": "sub_1",
            "customer": "cus_1",
            "status": "trialing",
            "trial_end": _NOW + 2 * DAY_S,
            "cancel_at_period_end": False,
        }
        customer = {"object": "customer", "id": "cus_1", "metadata": {"pruuf_account": "a0"}}
        self.stripe.lists["customers"] = [customer]
        self.happens("customer.created", customer)
        self.happens("customer.subscription.created", self.trial)
        self.told = Told(self.town, pushes=self.pushes.since)

    def happens(self, kind: str, about: dict[str, Any]) -> None:
        events = self.stripe.lists.setdefault("events", [])
        made = {"id": f"evt_{len(events)}", "type": kind, "created": _NOW}
        events.insert(0, {**made, "data": {"object": dict(about)}})

    def day(self, *texts: str, at: float = _NOW, killed: bool = False) -> list[str]:
        self.told.look(at)
        for n, text in enumerate(texts):
            self.pushes.push(text, reference=f"{at} {n}")
        return list(self.told.judge(at + 1, killed=killed))


@pytest.fixture
def world() -> _World:
    return _World()


def test_what_is_due_is_told_once(world: _World) -> None:
    assert world.day(_TRIAL) == []
    assert world.day(at=_NOW + 60) == []
    assert world.day(_TRIAL, at=_NOW + 1.5 * DAY_S) == []
    assert world.told.count == {"trial 3": 1, "trial 1": 1}


def test_a_reminder_that_is_missing_is_noticed(world: _World) -> None:
    (wrong,) = world.day()
    assert wrong.startswith("a0: was not told trial 3")


def test_a_reminder_that_comes_again_is_noticed(world: _World) -> None:
    (wrong,) = world.day(_TRIAL, _TRIAL)
    assert wrong.startswith("a0: untrue, or told before")
    (wrong,) = world.day(_TRIAL, at=_NOW + 60)
    assert wrong.startswith("a0: untrue, or told before")


@pytest.mark.parametrize("killed", [True, False])
def test_a_push_is_repeated_by_a_relay_that_died_alone(world: _World, *, killed: bool) -> None:
    world.told.look(_NOW)
    for _ in range(2):
        world.pushes.push(_TRIAL, reference="one")
    assert bool(list(world.told.judge(_NOW, killed=killed))) is not killed
    assert world.told.again == 1


def test_what_stopped_being_true_is_noticed_when_it_is_told(world: _World) -> None:
    world.happens("customer.subscription.updated", {**world.trial, "cancel_at_period_end": True})
    (wrong,) = world.day(_TRIAL)
    assert "untrue" in wrong
    world.happens("customer.subscription.updated", {**world.trial, "trial_end": _NOW + _MONTH_S})
    (wrong,) = world.day(_TRIAL, at=_NOW + 60)
    assert "untrue" in wrong


def test_whoever_was_a_member_is_told_nothing(world: _World) -> None:
    world.person.member_at = _NOW - 60.0
    (wrong,) = world.day(_TRIAL)
    assert "untrue" in wrong


def _charge(**fields: int | str) -> dict[str, Any]:
    made = {"customer": "cus_1", "subscription": "sub_1", "invoice": "in_0", "at": _NOW}
    return {**made, "amount": PRICE, "from": _NOW, "until": _NOW + _MONTH_S, **fields}


_NEXT = {"at": _NOW + _MONTH_S, "from": _NOW + _MONTH_S, "until": _NOW + 2 * _MONTH_S}


@pytest.mark.parametrize(
    ("charges", "member_at", "why"),
    [
        ([_charge(), _charge(**_NEXT)], None, None),
        ([_charge(), _charge(at=_NOW + 60)], None, "charged twice"),
        ([_charge(), _charge(**{**_NEXT, "from": _NOW + DAY_S})], None, "charged twice"),
        ([_charge(amount=PRICE + 1)], None, "not the price"),
        ([_charge(amount=PRICE + 42, invoice="in_42")], None, None),
        ([_charge(amount=PRICE + 43, invoice="in_42")], None, "not the price"),
        ([_charge(amount=PRICE + 50, invoice="in_50")], None, "not the price"),
        ([_charge()], _NOW + 60.0, None),
        ([_charge()], _NOW - DAY_S, "is free since"),
    ],
)
def test_wrong_charges_are_noticed(
    world: _World, charges: list[dict[str, Any]], member_at: float | None, why: str | None
) -> None:
    world.person.member_at = member_at
    world.stripe.charges = charges
    world.stripe.lists["invoices"] = [
        {"id": f"in_{cents}", "starting_balance": cents} for cents in (0, 42, 50)
    ]
    wrong = list(Books(world.town).wrongly_charged())
    assert len(wrong) == (why is not None)
    assert all(why is not None and why in each for each in wrong)
