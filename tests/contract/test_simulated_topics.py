"""FCM's topics at the simulator: the batch calls, FCM v1's own, and sends to many at once."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from outbox.simulators.fcm import PROJECT
from outbox.simulators.google_tokens import issue
from tests.contract.simulated import InAProcess, Simulated, client, simulators

ADD, REMOVE = "/iid/v1:batchAdd", "/iid/v1:batchRemove"
REGISTRATIONS = f"/v1/projects/{PROJECT}/registrations"


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulated]:
    async with simulators(tmp_path) as simulated:
        yield simulated


def bearer() -> dict[str, str]:
    return {"Authorization": f"Bearer {issue(time.time())}"}


async def batch(sim: Simulated, path: str, tokens: object, to: str = "/topics/news") -> object:
    headers = {**bearer(), "access_token_auth": "true"}
    body = {"to": to, "registration_tokens": tokens}
    answer = await sim.http.post(path, json=body, headers=headers)
    return answer.json()["results"] if answer.status_code == 200 else answer.status_code


async def members(sim: Simulated) -> object:
    return (await sim.http.get("/_sim/topics")).json()


async def one(sim: Simulated, method: str, path: str, **query: str) -> tuple[int, object]:
    url = f"{REGISTRATIONS}/{path}"
    answer = await sim.http.request(method, url, params=query, headers=bearer())
    error = answer.json().get("error", {})
    return answer.status_code, error.get("status")


async def test_batches_subscribe_and_unsubscribe(sim: Simulated) -> None:
    assert await batch(sim, ADD, ["a", "b", "c"]) == [{}, {}, {}]
    assert await batch(sim, ADD, ["a"]) == [{}]
    assert await batch(sim, REMOVE, ["b", "never"]) == [{}, {}]
    assert await members(sim) == {"news": ["a", "c"]}
    # A subscription is no message.
    assert await sim.ledger() == []


async def test_each_token_of_a_batch_has_its_own_result(sim: Simulated) -> None:
    tokens = ["a", "sim-unregistered-1", "sim-mismatch-1", "sim-internal-1", "", 7, "b"]
    assert await batch(sim, ADD, tokens) == [
        {},
        {"error": "NOT_FOUND"},
        {"error": "INVALID_ARGUMENT"},
        {"error": "INTERNAL"},
        {"error": "INVALID_ARGUMENT"},
        {"error": "INVALID_ARGUMENT"},
        {},
    ]
    assert await members(sim) == {"news": ["a", "b"]}


async def test_a_batch_holds_a_thousand_tokens(sim: Simulated) -> None:
    tokens = [f"t{n}" for n in range(1000)]
    assert await batch(sim, ADD, tokens) == [{}] * 1000
    assert await batch(sim, ADD, [*tokens, "one more"]) == 400
    assert await batch(sim, ADD, []) == 400
    assert await batch(sim, ADD, "a") == 400


async def test_a_device_has_two_thousand_topics_at_most(sim: Simulated) -> None:
    for n in range(2000):
        assert await batch(sim, ADD, ["a"], f"/topics/t{n}") == [{}]
    assert await batch(sim, ADD, ["a", "b"]) == [{"error": "TOO_MANY_TOPICS"}, {}]
    assert await batch(sim, ADD, ["a"], "/topics/t7") == [{}]
    assert await one(sim, "POST", "a/topicSubscriptions", topic_name="news") == (
        429,
        "RESOURCE_EXHAUSTED",
    )


@pytest.mark.parametrize("to", ["news", "/topics/", "/topics/with space", "/topics/a/b"])
async def test_a_topic_has_a_plain_name(sim: Simulated, to: str) -> None:
    assert await batch(sim, ADD, ["a"], to) == 400


async def test_a_batch_needs_both_credentials(sim: Simulated) -> None:
    body = {"to": "/topics/news", "registration_tokens": ["a"]}
    for headers in ({"access_token_auth": "true"}, bearer()):
        answer = await sim.http.post(ADD, json=body, headers=headers)
        assert answer.status_code == 401
    assert await members(sim) == {}


async def test_one_device_at_a_time_as_the_newer_api_has_it(sim: Simulated) -> None:
    subscriptions = "sim-ok-1/topicSubscriptions"
    assert await one(sim, "POST", subscriptions, topic_name="news") == (200, None)
    assert await one(sim, "POST", subscriptions, topic_name="news") == (409, "ALREADY_EXISTS")
    assert await members(sim) == {"news": ["sim-ok-1"]}
    assert await one(sim, "DELETE", f"{subscriptions}/news") == (200, None)
    assert await one(sim, "DELETE", f"{subscriptions}/news") == (404, "NOT_FOUND")
    assert await one(sim, "DELETE", f"{subscriptions}/news", allow_missing="true") == (200, None)
    assert await members(sim) == {}


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("POST", "sim-unregistered-1/topicSubscriptions", {"topic_name": "news"}, 404),
        ("POST", "sim-quota-1/topicSubscriptions", {"topic_name": "news"}, 429),
        ("POST", "a/topicSubscriptions", {"topic_name": "a b"}, 400),
        ("POST", "a/topicSubscriptions", {}, 400),
        ("GET", "a/topicSubscriptions", {"topic_name": "news"}, 405),
        ("DELETE", "a/topicSubscriptions", {"topic_name": "news"}, 405),
    ],
)
async def test_what_the_newer_api_refuses(
    sim: Simulated,
    method: str,
    path: str,
    query: dict[str, str],
    status: int,
) -> None:
    assert (await one(sim, method, path, **query))[0] == status
    assert await members(sim) == {}


async def test_subscriptions_survive_a_kill(tmp_path: Path) -> None:
    with InAProcess(tmp_path / "ledger.sqlite") as process:
        async with client(process.start()) as http:
            await batch(Simulated(http), ADD, ["a", "b"])
            await batch(Simulated(http), REMOVE, ["b"])
        process.end(signal.SIGKILL)
        async with client(process.start()) as http:
            assert await members(Simulated(http)) == {"news": ["a"]}
        assert process.end(signal.SIGTERM) == 0


async def send(sim: Simulated, **message: object) -> httpx.Response:
    path = f"/v1/projects/{PROJECT}/messages:send"
    return await sim.http.post(path, json={"message": message}, headers=bearer())


async def test_a_send_to_many_is_one_line_of_the_ledger(sim: Simulated) -> None:
    shown = {"title": "News", "body": "of today"}
    condition = "'news' in topics && !('old' in topics)"
    for target in ({"topic": "news"}, {"condition": condition}):
        answer = await send(sim, notification=shown, data={"notification_id": "n1"}, **target)
        assert answer.status_code == 200
    lines = await sim.ledger(provider="fcm")
    assert [line["to"] for line in lines] == ["news", condition]
    assert {(line["text"], line["reference"]) for line in lines} == {("News: of today", "n1")}


async def test_a_topics_payload_is_half_as_large(sim: Simulated) -> None:
    assert (await send(sim, topic="news", data={"k": "x" * 2048})).status_code == 400
    assert (await send(sim, token="any", data={"k": "x" * 2048})).status_code == 200
    assert (await send(sim, topic="news", token="any")).status_code == 400
