"""Callbacks that could not be applied: listed, shown without what is of a person, put back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from psycopg import errors

from outbox.domain.callbacks import Callback
from outbox.domain.ids import new_id
from outbox.store import inbox, pulse
from outbox.store.billing_effects import Effects
from outbox.store.inbox import InboxItem, sealed
from outbox.store.keys import Scope
from tests.integration.billing_world import World

from .billing_lives import life, stripe_url
from .conftest import MakeKey
from .relay_hand import Hand
from .test_api_problems import assert_problem

__all__ = ["life", "stripe_url"]

_WHY = {"reason": "the fix is deployed"}
_OF_A_PERSON = (
    *(
        "Bob Example",
        "bob@example.com",
        "12 High Street",
        "+12025550123",
        "4242",
        "Xt5EWLLDS7FJjR1c",
    ),
    *("seti_1_secret_2", "https://pay.stripe.com", "his neighbour"),
)


async def _webhook(life: World) -> dict[str, Any]:
    """A genuine event about an account, with as much of a person in it as there could be."""
    await life.open()
    await life.work()
    name = life.relay.rows("SELECT customer FROM account")[0][0]
    return {
        "id": "evt_poison",
        "object": "event",
        "api_version": "2026-10-28.endive",
        # Behind whatever the simulator told before.
        "created": int(time.time()) + 60,
        "type": "customer.updated",
        "data": {
            "object": {
                "id": name,
                "object": "customer",
                "created": 1_795_500_000,
                "name": "Bob Example",
                "email": "bob@example.com",
                "phone": "+12025550123",
                "address": {"line1": "12 High Street", "country": "US"},
                "balance": -299,
                "sources": [{"fingerprint": "Xt5EWLLDS7FJjR1c", "last4": "4242", "exp_year": 2031}],
                "latest": {"client_secret": "seti_1_secret_2", "url": "https://pay.stripe.com/x"},
                "metadata": {"pruuf_account": "c_1", "note": "his neighbour"},
            },
            "previous_attributes": {"name": "Bob Example"},
        },
    }


def _break(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise errors.NumericValueOutOfRange

    monkeypatch.setattr(Effects, "apply", refuse)


async def test_a_webhook_that_failed_is_shown_masked_and_applied_after_the_fix(
    life: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await _webhook(life)
    with monkeypatch.context() as broken:
        _break(broken)
        await life.hear(event)
        [failed] = (await life.api.get("/v1/callbacks")).json()["items"]
        assert (failed["provider"], failed["tries"]) == ("stripe", 1)
        assert failed["error"] == "cannot be applied: NumericValueOutOfRange"
        page = f"/v1/callbacks/{failed['id']}"

        answer = await life.api.get(page)
        shown = answer.json()
        assert (shown["state"], shown["said"], shown["tries"]) == ("failed", "evt_poison", 1)
        for hidden in _OF_A_PERSON:
            assert hidden not in answer.text
        about = shown["body"]["data"]["object"]
        assert shown["body"]["type"] == "customer.updated"
        assert about["id"] == event["data"]["object"]["id"]
        assert about["balance"] == -299
        assert about["metadata"] == {"pruuf_account": "c_1"}
        assert about["name"] == about["address"] == about["phone"] == "•••"

        # Tried once more before it is mended, it fails once more.
        done = (await life.api.post(f"{page}/redrive", json=_WHY)).json()
        assert done == {"id": failed["id"], "result": "redriven", "state": "waiting"}
        again = (await life.api.post(f"{page}/redrive", json=_WHY)).json()
        assert (again["result"], again["state"]) == ("in_flight", "waiting")
        await life.relay.apply()
        shown = (await life.api.get(page)).json()
        assert (shown["state"], shown["tries"]) == ("failed", 2)

    await life.api.post(f"{page}/redrive", json=_WHY)
    await life.relay.apply()
    assert (await life.api.get("/v1/callbacks")).json() == {"items": [], "next": None}
    shown = (await life.api.get(page)).json()
    assert (shown["state"], shown["tries"], shown["error"]) == ("applied", 3, None)
    told = [(each["result"], each["error"], each["reason"]) for each in shown["redrives"]]
    error = "cannot be applied: NumericValueOutOfRange"
    assert told == [
        ("redriven", error, _WHY["reason"]),
        ("in_flight", None, _WHY["reason"]),
        ("redriven", error, _WHY["reason"]),
    ]
    assert all(each["actor"].endswith("(test)") for each in shown["redrives"])
    assert life.relay.rows("SELECT credit FROM account") == [(299,)]
    done = (await life.api.post(f"{page}/redrive", json=_WHY)).json()
    assert (done["result"], done["state"]) == ("already_final", "applied")


async def _failed(by_hand: Hand, providers: Sequence[str]) -> list[UUID]:
    """Callbacks of these providers, each of which failed; the oldest first."""
    items: list[InboxItem] = []
    for number, provider in enumerate(providers):
        callback = Callback(
            source=provider,
            status="delivered",
            provider_id=f"SM{number:032x}",
            notification=new_id(number % 16),
            raw={"To": "+12025550123", "MessageStatus": "delivered"},
        )
        items.append(sealed(by_hand.sealer, callback, lane=2))
    connection = await by_hand.gateway()
    async with connection.transaction():
        await inbox.store(connection, items)
    by_hand.rows(
        "UPDATE inbox SET done_at = now(), note = 'cannot be applied: DataError',"
        " received_at = now() - interval '3 days' WHERE id = ANY(%s) RETURNING 1",
        ([item.id for item in items],),
    )
    return [item.id for item in items]


async def test_the_list_goes_on_where_a_page_ended_and_tells_providers_apart(
    by_hand: Hand, api: AsyncTestClient[Litestar]
) -> None:
    ids = sorted(await _failed(by_hand, ["twilio", "app", "twilio", "twilio", "app"]), reverse=True)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        more = {"cursor": cursor} if cursor else {}
        page = (await api.get("/v1/callbacks", params={"limit": 2, **more})).json()
        seen += [each["id"] for each in page["items"]]
        cursor = page["next"]
    assert seen == [str(each) for each in ids]
    answer = await api.get("/v1/callbacks", params={"provider": "app"})
    assert [each["provider"] for each in answer.json()["items"]] == ["app", "app"]
    for since, number in (("2026-01-01T00:00:00Z", 5), ("2100-01-01T00:00:00Z", 0)):
        answer = await api.get("/v1/callbacks", params={"since": since})
        assert len(answer.json()["items"]) == number
    shown = (await api.get(f"/v1/callbacks/{ids[0]}")).json()
    assert shown["body"]["raw"] == {"To": "•••", "MessageStatus": "delivered"}


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"provider": "nobody"}, "query.provider"),
        ({"since": "yesterday"}, "query.since"),
        ({"cursor": "x"}, "query.cursor"),
    ],
)
async def test_a_strange_question_is_a_400(
    api: AsyncTestClient[Litestar], query: dict[str, str], path: str
) -> None:
    answer = await api.get("/v1/callbacks", params=query)
    assert_problem(answer, 400, "invalid")
    assert [each["path"] for each in answer.json()["errors"]] == [path]


async def test_who_may_do_what(
    by_hand: Hand, api: AsyncTestClient[Litestar], make_key: MakeKey
) -> None:
    [one] = await _failed(by_hand, ["twilio"])
    api.headers["Authorization"] = make_key(Scope.READ)
    assert (await api.get(f"/v1/callbacks/{one}")).status_code == 200
    answer = await api.post(f"/v1/callbacks/{one}/redrive", json=_WHY)
    assert_problem(answer, 403, "scope")
    api.headers["Authorization"] = make_key(Scope.EVENTS, Scope.RECIPIENTS)
    assert_problem(await api.get("/v1/callbacks"), 403, "scope")
    api.headers["Authorization"] = make_key(Scope.OPERATE)
    answer = await api.post(f"/v1/callbacks/{one}/redrive", json={"reason": ""})
    assert_problem(answer, 400, "invalid")
    for nobody in (new_id(3), "x"):
        answer = await api.post(f"/v1/callbacks/{nobody}/redrive", json=_WHY)
        assert_problem(answer, 404, "not-found")
    assert by_hand.rows("SELECT FROM inbox_action") == []
    assert by_hand.rows("SELECT FROM inbox WHERE done_at IS NULL") == []


async def test_one_that_was_put_back_waits_since_then(
    by_hand: Hand, api: AsyncTestClient[Litestar]
) -> None:
    [old] = await _failed(by_hand, ["twilio"])
    await api.post(f"/v1/callbacks/{old}/redrive", json=_WHY)
    text, values = pulse.query()
    cursor = by_hand._owner.execute(text, values)
    [age] = [row[2] for row in cursor.fetchall() if row[0] == "inbox_oldest_s"]
    # It came three days ago; nobody is to be called for that.
    assert 0 <= age < 600


async def test_what_cannot_be_opened_has_failed_and_can_be_put_back(
    by_hand: Hand, api: AsyncTestClient[Litestar]
) -> None:
    [one] = await _failed(by_hand, ["twilio"])
    [(sound,)] = by_hand.rows("SELECT body FROM inbox")
    change = "UPDATE inbox SET body = %s, done_at = NULL, note = NULL RETURNING 1"
    by_hand.rows(change, (b"of another key",))
    await by_hand.apply()
    [failed] = (await api.get("/v1/callbacks")).json()["items"]
    assert (failed["id"], failed["error"]) == (str(one), "cannot be read")
    assert (await api.get(f"/v1/callbacks/{one}")).json()["body"] is None
    by_hand.rows("UPDATE inbox SET body = %s RETURNING 1", (bytes(sound),))
    await api.post(f"/v1/callbacks/{one}/redrive", json=_WHY)
    await by_hand.apply()
    assert by_hand.rows("SELECT status FROM receipt") == [("delivered",)]
