"""Following topics through FCM v1, in two worlds; what is repeated changes nothing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from outbox.domain.outcomes import Result
from outbox.providers.fcm import FcmPush
from outbox.providers.transport import PooledTransport
from outbox.settings import load
from outbox.simulators.environment import environment
from outbox.simulators.magic import token
from tests.contract.conftest import Events
from tests.contract.loopback import Behaviour, answer, hang_up
from tests.contract.push_adapter import ADDRESS, google, refusal
from tests.contract.simulated import simulators

DONE = answer(200, {})
PATH = "/v1/projects/pruuf-test/registrations/c0ffee%3AAPA91b-an_address/topicSubscriptions"


async def test_the_requests_are_those_of_firebases_own_library(
    tmp_path: Path,
    private_key: str,
) -> None:
    async with google(tmp_path, private_key, DONE) as at:
        assert (await at.push.subscribe(ADDRESS, "news.of-50%")).result is Result.ACCEPTED
        assert (await at.push.unsubscribe(ADDRESS, "news.of-50%")).result is Result.ACCEPTED
        joined, left = at.fcm.requests
    assert (joined.method, joined.target) == ("POST", f"{PATH}?topic_name=news.of-50%25")
    assert msgspec.json.decode(joined.body) == {}
    assert (left.method, left.target) == ("DELETE", f"{PATH}/news.of-50%25?allow_missing=true")
    assert left.body == b""
    assert joined.headers["authorization"] == left.headers["authorization"] == "Bearer t0k3n"


@pytest.mark.parametrize(
    ("behaviour", "joined", "left"),
    [
        (refusal(409), (Result.ACCEPTED, None), (Result.CONFIGURATION_FAULT, "409")),
        *(
            (behaviour, (result, code), (result, code))
            for behaviour, result, code in (
                (refusal(404, "UNREGISTERED"), Result.CHANNEL_FINAL, "UNREGISTERED"),
                (refusal(404), Result.CONFIGURATION_FAULT, "404"),
                (refusal(429, "QUOTA_EXCEEDED"), Result.RETRYABLE, "QUOTA_EXCEEDED"),
                (refusal(503), Result.RETRYABLE, "503"),
                (refusal(504), Result.RETRYABLE, "504"),
                (refusal(400, "INVALID_ARGUMENT"), Result.CONTENT_FINAL, "INVALID_ARGUMENT"),
                (hang_up, Result.RETRYABLE, "closed"),
                (answer(204), Result.ACCEPTED, None),
            )
        ),
    ],
)
async def test_answers(
    tmp_path: Path,
    private_key: str,
    behaviour: Behaviour,
    joined: tuple[Result, str | None],
    left: tuple[Result, str | None],
) -> None:
    async with google(tmp_path, private_key, behaviour) as at:
        got = await at.push.subscribe(ADDRESS, "news")
        assert (got.result, got.code) == joined
        got = await at.push.unsubscribe(ADDRESS, "news")
        assert (got.result, got.code) == left
        assert len(at.fcm.requests) == 2


@pytest.mark.parametrize("topic", ["", "with space", "a/b", "/topics/news", "ü", "x" * 901])
async def test_what_is_no_topic_is_a_value_error(
    tmp_path: Path,
    private_key: str,
    topic: str,
) -> None:
    async with google(tmp_path, private_key) as at:
        with pytest.raises(ValueError, match="a topic's name"):
            await at.push.subscribe(ADDRESS, topic)
        with pytest.raises(ValueError, match="a topic's name"):
            await at.push.unsubscribe(ADDRESS, topic)
        assert at.fcm.requests == []


async def test_the_log_shows_no_address(
    tmp_path: Path,
    private_key: str,
    events: Events,
) -> None:
    async with google(tmp_path, private_key, refusal(503)) as at:
        await at.push.subscribe(ADDRESS, "news")
    name, fields = events.wide[-1]
    assert (name, fields["joining"], fields["code"]) == ("push.topic", True, "503")
    assert ADDRESS not in events.text


async def test_the_simulator_keeps_who_follows_what(tmp_path: Path) -> None:
    async with simulators(tmp_path) as sim, PooledTransport() as transport:
        settings = load(environment(base_url=sim.url, folder=tmp_path), cwd=tmp_path)
        push = FcmPush(settings.require_fcm(), transport)
        for _ in range(2):
            for address in ("a:1", "b", token("delivered", 0)):
                assert (await push.subscribe(address, "news")).result is Result.ACCEPTED
            assert (await push.unsubscribe("b", "news")).result is Result.ACCEPTED
            assert (await push.unsubscribe("b", "news")).result is Result.ACCEPTED
        gone = await push.subscribe(token("unregistered", 0), "news")
        assert (gone.result, gone.code) == (Result.CHANNEL_FINAL, "UNREGISTERED")
        kept = (await sim.http.get("/_sim/topics")).json()
    assert kept == {"news": ["a:1", token("delivered", 0)]}
