"""No card's number is taken anywhere, and none is kept: not even what Stripe itself sends us."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from gateway import billing_examples, examples
from outbox.sealing import Sealer
from outbox.settings import Settings

from .billing_world import signed
from .conftest import missed, nothing_is_written, rows
from .test_api_problems import assert_problem

_NUMBERS = ("4242424242424242", "3782 822463 10005")
_EVENTS = {
    **billing_examples.EVENTS,
    "an invitation": examples.MEMBER_INVITED,
    "an announcement": examples.ANNOUNCEMENT_PUBLISHED,
}
_FIXED = {"specversion", "type", "time", "role", "when"}


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    """Where a text stands that somebody may choose."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in _FIXED:
                yield from _places(inner, (*path, name))
    elif isinstance(value, str):
        yield path


def _with(event: dict[str, Any], path: tuple[Any, ...], text: str) -> dict[str, Any]:
    changed = copy.deepcopy(event)
    holder: Any = changed
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = text
    return changed


_NOBODYS = "01a22e93-69b1-7b26-8d6b-3d9aa41ccc01"


@pytest.mark.parametrize("name", _EVENTS)
async def test_no_field_of_an_event_takes_a_number(
    api: AsyncTestClient[Litestar], database_url: str, name: str
) -> None:
    event = _EVENTS[name]
    places = list(_places(event))
    assert len(places) >= 4
    with nothing_is_written(database_url):
        for path in places:
            for number in _NUMBERS:
                changed = _with(event, path, number)
                if path == ("subject",):
                    changed["data"] = _subject(changed["data"], number)
                answer = await api.post("/v1/events", json=changed)
                assert_problem(answer, 400, "invalid")
                assert number not in answer.text, path


def _subject(data: dict[str, Any], number: str) -> dict[str, Any]:
    """So that it is not refused for naming two."""
    changed = copy.deepcopy(data)
    for holder in ("account", "inviter"):
        if holder in changed:
            changed[holder]["id"] = number
    return changed


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/recipients/c_1", {"name": "{}"}),
        ("PUT", "/v1/recipients/{}", {"name": "Bob"}),
        ("POST", f"/v1/notifications/{_NOBODYS}/cancel", {"reason": "card {}"}),
        ("POST", f"/v1/notifications/{_NOBODYS}/redrive", {"reason": "{}"}),
        ("POST", f"/v1/callbacks/{_NOBODYS}/redrive", {"reason": "{}"}),
        ("POST", "/v1/accounts/c_1/card-link", {"return_url": "https://app.example/?card={}"}),
    ],
)
async def test_nor_does_any_other_body(
    api: AsyncTestClient[Litestar],
    database_url: str,
    method: str,
    path: str,
    body: dict[str, str],
) -> None:
    number = _NUMBERS[0]
    given = {name: value.format(number) for name, value in body.items()}
    answer = await api.request(method, path.format(number), json=given)
    assert_problem(answer, 400, "invalid")
    assert number not in answer.text
    assert answer.json()["errors"][0]["got"] == "a card's number"
    assert rows(database_url, "SELECT * FROM recipient") == []


async def test_an_alert_is_never_refused_for_it(api: AsyncTestClient[Litestar]) -> None:
    bob = {"id": "c_1", "name": "4242424242424242", "phone": "+12025550123"}
    answer = await api.post("/v1/events", json=missed(bob))
    assert answer.status_code == 202


async def test_what_stripe_sends_is_kept_without_it(
    api: AsyncTestClient[Litestar], settings: Settings, database_url: str
) -> None:
    event: dict[str, Any] = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "type": "customer.updated",
        "data": {
            "object": {
                "id": "cus_1",
                "object": "customer",
                "description": "pays with 4242 4242 4242 4242, till 12/31",
                "metadata": {"note": "5555555555554444", "number": "c_1"},
                "odd": 378282246310005,
            }
        },
    }
    for body in (json.dumps(event), json.dumps({**event, "id": "evt_2"}, indent=2)):
        raw = body.encode()
        headers = {"Content-Type": "application/json", "Stripe-Signature": signed(raw)}
        answer = await api.post("/webhooks/stripe", content=raw, headers=headers)
        assert answer.status_code == 204
    sealer = Sealer(settings.keys, settings.lookup_keys)
    kept = rows(database_url, "SELECT id, body FROM inbox")
    assert len(kept) == 2
    for row, body in kept:
        plain = sealer.unseal(bytes(body), table="inbox", row=str(row), field="body").decode()
        for number in ("4242 4242", "5555555555554444", "378282246310005"):
            assert number not in plain
        about = json.loads(plain)["data"]["object"]
        assert about["description"] == "pays with ••••, till 12/31"
        assert about["metadata"]["number"] == "c_1"
