"""Faults that are switched on at the simulators while they run."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from outbox.simulators.fcm import PROJECT
from outbox.simulators.google_tokens import issue
from outbox.simulators.magic import number
from outbox.simulators.twilio_messages import SENDERS
from tests.contract.loopback import answer, serve
from tests.contract.simulated import AUTH, Simulated, received, simulators

PLAIN = "+12025550100"
SEND = f"/v1/projects/{PROJECT}/messages:send"


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulated]:
    async with simulators(tmp_path, seed=1) as simulated:
        yield simulated


async def push(sim: Simulated, token: str = "any") -> httpx.Response:
    headers = {"Authorization": f"Bearer {issue(time.time())}"}
    return await sim.http.post(SEND, json={"message": {"token": token}}, headers=headers)


async def _texts(sim: Simulated) -> dict[str, int]:
    counted = (await sim.http.get("/_sim/stats")).json()["accepted"]["twilio"]
    return {outcome: numbers["accepted"] for outcome, numbers in counted.items()}


async def test_a_status_refuses_and_accepts_nothing(sim: Simulated) -> None:
    await sim.fault(provider="twilio", status=429, retry_after=17)
    refused = await sim.text(PLAIN)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "17")
    assert refused.json()["code"] == 20429
    assert (await push(sim)).status_code == 200
    assert [line["provider"] for line in await sim.ledger()] == ["fcm"]


async def test_a_fault_without_a_provider_strikes_all(sim: Simulated) -> None:
    await sim.fault(status=503)
    assert (await sim.text(PLAIN)).json()["code"] == 20503
    refused = (await push(sim)).json()["error"]
    assert (refused["status"], refused["details"][0]["errorCode"]) == ("UNAVAILABLE",) * 2
    assert await sim.ledger() == []


async def test_a_rate_strikes_its_share(sim: Simulated) -> None:
    await sim.fault(provider="twilio", status=500, rate=0.5)
    statuses = [(await sim.text(PLAIN)).status_code for _ in range(60)]
    refused = statuses.count(500)
    assert 10 < refused < 50
    assert refused + statuses.count(201) == 60
    assert len(await sim.ledger()) == 60 - refused


async def test_an_outcome_comes_over_texts_as_a_wave_and_over_one_senders_alone(
    sim: Simulated,
) -> None:
    await sim.fault(provider="twilio", outcome="undelivered_30007", sender=SENDERS[0])
    for number_, sender in ((PLAIN, SENDERS[0]), (PLAIN, SENDERS[1])):
        assert (await sim.text(number_, From=sender)).status_code == 201
    # A number that has an outcome of its own keeps it.
    await sim.text(number("undelivered_30005", 1), From=SENDERS[0])
    before = await _texts(sim)
    assert before == {"undelivered_30007": 1, "delivered": 1, "undelivered_30005": 1}
    await sim.fault(provider="twilio", outcome="undelivered_30007", rate=0.5)
    for _ in range(40):
        await sim.text(PLAIN)
    after = await _texts(sim)
    assert 5 < after["undelivered_30007"] - 1 < 35
    assert sum(after.values()) == 43


async def test_latency_delays_the_answer_and_nothing_else(sim: Simulated) -> None:
    await sim.fault(provider="twilio", latency_ms=400)
    started = time.monotonic()
    assert (await sim.text(PLAIN)).status_code == 201
    assert time.monotonic() - started >= 0.4


async def test_drop_accepts_and_does_not_answer(sim: Simulated) -> None:
    await sim.fault(provider="twilio", drop=True)
    with pytest.raises(httpx.TransportError):
        await sim.text(PLAIN)
    (line,) = await sim.ledger()
    assert (line["to"], line["answered"]) == (PLAIN, False)


async def test_a_fault_ends_by_itself(sim: Simulated) -> None:
    await sim.fault(status=503, for_s=0.2)
    assert (await sim.text(PLAIN)).status_code == 503
    until = time.monotonic() + 30
    while (await sim.text(PLAIN)).status_code == 503:
        assert time.monotonic() < until


async def test_faults_are_shown_and_cleared(sim: Simulated) -> None:
    await sim.fault(provider="fcm", status=503)
    shown = (await sim.http.get("/_sim/faults")).json()
    assert shown["twilio"] is None
    assert (shown["fcm"]["status"], shown["fcm"]["rate"]) == (503, 1.0)
    cleared = await sim.http.delete("/_sim/faults")
    assert cleared.json() == {"twilio": None, "fcm": None, "stripe": None}
    assert (await push(sim)).status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"provider": "nobody"},
        {"rate": 1.5},
        {"status": 200},
        {"status": 503, "drop": True},
        {"retry_after": 3},
        {"outcome": "delivered_twice"},
        {"sender": "+15005550006"},
        {"lists": {"fail": 2}},
        {"callbacks": {"loose": 1}},
        {"for_s": 0},
        {"speed": 1},
        [],
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused_with_what_would(
    sim: Simulated,
    fault: object,
) -> None:
    refused = await sim.http.post("/_sim/faults", json=fault)
    assert refused.status_code == 400
    assert set(refused.json()["accepted"]) == {
        *("provider", "rate", "latency_ms", "status", "retry_after", "drop"),
        *("callbacks", "lists", "for_s", "outcome", "sender"),
    }
    assert (await sim.text(PLAIN)).status_code == 201


async def test_lost_callbacks_never_come(sim: Simulated) -> None:
    async with serve(answer(204)) as server:
        await sim.fault(provider="twilio", callbacks={"lose": 1})
        lost = (await sim.text(PLAIN, StatusCallback=f"{server.url}/lost")).json()["sid"]
        await sim.fault(provider="twilio")
        await sim.text(PLAIN, StatusCallback=f"{server.url}/kept")
        assert {request.path for request in await received(server, 2)} == {"/kept"}
    assert (await sim.message(lost)).json()["status"] == "delivered"


async def test_duplicated_callbacks_come_twice(sim: Simulated) -> None:
    async with serve(answer(204)) as server:
        await sim.fault(provider="twilio", callbacks={"duplicate": 1})
        await sim.text(PLAIN, StatusCallback=f"{server.url}/")
        statuses = [r.form["MessageStatus"] for r in await received(server, 4)]
    assert sorted(statuses) == ["delivered", "delivered", "sent", "sent"]


async def test_delayed_callbacks_come_later(sim: Simulated) -> None:
    async with serve(answer(204)) as server:
        await sim.fault(provider="twilio", callbacks={"delay_ms": 500})
        started = time.monotonic()
        await sim.text(PLAIN, StatusCallback=f"{server.url}/")
        await received(server, 1)
        assert time.monotonic() - started >= 0.5


async def test_shuffled_callbacks_come_in_any_order(sim: Simulated) -> None:
    async with serve(answer(204)) as server:
        await sim.fault(provider="twilio", callbacks={"shuffle": True})
        for n in range(20):
            await sim.text(PLAIN, StatusCallback=f"{server.url}/{n}")
        orders: dict[str, list[str]] = {}
        for request in await received(server, 40):
            orders.setdefault(request.path, []).append(request.form["MessageStatus"])
    assert {tuple(order) for order in orders.values()} == {
        ("sent", "delivered"),
        ("delivered", "sent"),
    }


async def test_a_list_that_lags_shows_a_message_later(sim: Simulated) -> None:
    await sim.fault(provider="twilio", lists={"lag_ms": 400})
    started = time.monotonic()
    sid = (await sim.text(PLAIN)).json()["sid"]
    while not (await sim.messages(To=PLAIN)).json()["messages"]:
        assert time.monotonic() - started < 30
    assert time.monotonic() - started >= 0.4
    # What one of them shows, the other does.
    assert (await sim.message(sid)).status_code == 200
    await sim.fault(provider="twilio", lists={"lag_ms": 600_000})
    assert (await sim.message(sid)).json()["code"] == 20404
    assert (await sim.messages(To=PLAIN)).json()["messages"] == []


async def test_lists_fail_now_and_then_while_sends_do_not(sim: Simulated) -> None:
    await sim.fault(provider="twilio", lists={"fail": 0.5})
    texts = [await sim.text(PLAIN) for _ in range(20)]
    assert {text.status_code for text in texts} == {201}
    lists = [(await sim.messages(To=PLAIN)).status_code for _ in range(40)]
    one = [(await sim.message(texts[0].json()["sid"])).status_code for _ in range(40)]
    assert set(lists) == set(one) == {200, 503}
    account = await sim.http.get("/2010-04-01/Accounts/AC" + "5" * 32 + ".json", auth=AUTH)
    assert account.status_code == 200


async def test_a_magic_number_is_refused_before_a_fault_is_needed(sim: Simulated) -> None:
    refused = await sim.text(number("landline", 0))
    assert refused.json()["code"] == 21614
    stats = (await sim.http.get("/_sim/stats")).json()
    assert stats["refused"] == {"twilio": {"21614": 1}}
