"""Access tokens: one fetch at a time, renewed early, and every way in which there is none."""

from __future__ import annotations

import asyncio
import base64
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from outbox.domain.outcomes import Result
from outbox.providers.google_tokens import GoogleTokens, TokenError
from outbox.providers.transport import PooledTransport
from tests.contract.conftest import Events, write_account
from tests.contract.loopback import Behaviour, Loopback, Request, answer, hang_up, serve, silence
from tests.contract.push_adapter import PUSH, TOKEN, google


class Tokens:
    """The tokens, their endpoint, and a clock to turn."""

    def __init__(self, tokens: GoogleTokens, endpoint: Loopback) -> None:
        self._tokens = tokens
        self.endpoint = endpoint
        self.now = 1000.0
        tokens._clock = lambda: self.now

    async def get(self, within_s: float = 20.0) -> str:
        return await self._tokens.get(within_s=within_s)

    def refuse(self, value: str) -> bool:
        return self._tokens.refuse(value)

    async def fetched(self) -> None:
        """Wait for the fetch that runs in the background."""
        fetching = self._tokens._fetching
        assert fetching is not None
        await asyncio.wait({fetching})


def token(value: str, lifetime_s: object = 3600) -> Behaviour:
    return answer(200, {"access_token": value, "expires_in": lifetime_s, "token_type": "Bearer"})


@asynccontextmanager
async def tokens_of(
    folder: Path,
    private_key: str,
    *behaviours: Behaviour,
    total_timeout_s: float = 5.0,
) -> AsyncIterator[Tokens]:
    async with (
        serve(*behaviours) as endpoint,
        PooledTransport(total_timeout_s=total_timeout_s) as transport,
    ):
        uri = f"{endpoint.url}/token"
        path = write_account(folder / "a.json", private_key=private_key, token_uri=uri)
        yield Tokens(
            GoogleTokens(path, transport, total_timeout_s=total_timeout_s),
            endpoint,
        )


def claims(request: Request) -> dict[str, object]:
    _, part, _ = request.form["assertion"].split(".")
    decoded: dict[str, object] = msgspec.json.decode(base64.urlsafe_b64decode(part + "=="))
    return decoded


async def test_the_request_is_a_signed_assertion(tmp_path: Path, private_key: str) -> None:
    async with tokens_of(tmp_path, private_key, TOKEN) as tokens:
        assert await tokens.get() == "t0k3n"
        (request,) = tokens.endpoint.requests
        assert (request.method, request.path) == ("POST", "/token")
        assert request.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        asked = claims(request)
        assert asked["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert asked["iss"] == "pruuf@pruuf-test.iam.gserviceaccount.com"
        assert asked["aud"] == "https://oauth2.googleapis.com/token"
        assert private_key[40:80] not in request.body.decode()


async def test_one_fetch_at_a_time_and_one_for_all(tmp_path: Path, private_key: str) -> None:
    async with tokens_of(tmp_path, private_key, token("one"), token("two")) as tokens:
        assert set(await asyncio.gather(*(tokens.get() for _ in range(50)))) == {"one"}
        assert await tokens.get() == "one"
        assert len(tokens.endpoint.requests) == 1


async def test_it_is_renewed_early_and_nobody_waits(tmp_path: Path, private_key: str) -> None:
    async with tokens_of(tmp_path, private_key, token("one"), token("two")) as tokens:
        await tokens.get()
        tokens.now += 3600 - 301
        assert await tokens.get() == "one"
        assert len(tokens.endpoint.requests) == 1
        tokens.now += 10
        assert {await tokens.get() for _ in range(5)} == {"one"}
        await tokens.fetched()
        assert await tokens.get() == "two"
        assert len(tokens.endpoint.requests) == 2


async def test_a_renewal_that_fails_leaves_the_old_one_in_use(
    tmp_path: Path,
    private_key: str,
) -> None:
    refused = answer(400, {"error": "invalid_grant"})
    async with tokens_of(tmp_path, private_key, token("one"), refused, token("two")) as tokens:
        await tokens.get()
        tokens.now += 3600 - 200
        assert await tokens.get() == "one"
        await tokens.fetched()
        assert await tokens.get() == "one"
        await tokens.fetched()
        assert await tokens.get() == "two"


async def test_one_that_ends_soon_is_not_used(tmp_path: Path, private_key: str) -> None:
    async with tokens_of(tmp_path, private_key, token("one"), token("two")) as tokens:
        await tokens.get()
        tokens.now += 3600 - 29
        assert await tokens.get() == "two"


async def test_one_that_was_refused_is_not_used_again(tmp_path: Path, private_key: str) -> None:
    async with tokens_of(tmp_path, private_key, token("one"), token("two")) as tokens:
        value = await tokens.get()
        tokens.now += 61
        assert tokens.refuse(value)
        assert tokens.refuse(value)
        assert await tokens.get() == "two"
        # It is as new as can be: another would be no better.
        assert not tokens.refuse("two")
        assert tokens.refuse("one")


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (answer(400, {"error": "invalid_grant"}), "token_refused"),
        (answer(401, {"error": "invalid_client"}), "token_refused"),
        (answer(403, b"<html>"), "token_refused"),
        (answer(404, b"<html>"), "token_refused"),
        (answer(500, b"<html>"), "token_endpoint"),
        (answer(503, {"error": "server_error"}), "token_endpoint"),
        (answer(429, b""), "token_endpoint"),
        (hang_up, "token_endpoint"),
        (silence, "token_endpoint"),
        (answer(200, b""), "token_endpoint"),
        (answer(200, b"<html>"), "token_endpoint"),
        (answer(200, b"\xff"), "token_endpoint"),
        (answer(200, []), "token_endpoint"),
        (answer(200, {}), "token_endpoint"),
        (answer(200, {"access_token": None}), "token_endpoint"),
        (answer(200, {"access_token": ""}), "token_endpoint"),
        (
            answer(200, {"access_token": "a\nb", "expires_in": 9}),
            "token_endpoint",
        ),
        (token("one", "soon"), "token_endpoint"),
        (token("one", []), "token_endpoint"),
        (token("one", 10**30), "token_endpoint"),
        (token("one", -5), "token_endpoint"),
    ],
)
async def test_no_token(
    tmp_path: Path,
    private_key: str,
    behaviour: Behaviour,
    code: str,
    events: Events,
) -> None:
    async with tokens_of(tmp_path, private_key, behaviour, total_timeout_s=1.0) as tokens:
        with pytest.raises(TokenError) as caught:
            await tokens.get()
        refused = code == "token_refused"
        result = Result.CONFIGURATION_FAULT if refused else Result.RETRYABLE
        assert (caught.value.result, caught.value.code) == (result, code)
        ((name, fields),) = events.wide
        assert (name, fields["result"], fields["code"]) == ("push.token", result, code)
        shown = "".join(traceback.format_exception(caught.value)) + events.text
        assert private_key[40:80] not in shown
        assert tokens.endpoint.requests[0].form["assertion"] not in shown
        # The next one asks again.
        tokens.endpoint.then(token("good"))
        assert await tokens.get() == "good"


@pytest.mark.parametrize(("lifetime_s", "good_for_s"), [("3600", 3500), (None, 200), (8, 5)])
async def test_lifetimes_in_other_shapes(
    tmp_path: Path,
    private_key: str,
    lifetime_s: object,
    good_for_s: float,
) -> None:
    behaviours = token("one", lifetime_s), token("two")
    async with tokens_of(tmp_path, private_key, *behaviours) as tokens:
        assert await tokens.get() == "one"
        tokens.now += good_for_s
        assert await tokens.get() == "one"
        tokens.now += 100
        await tokens.fetched()
        assert await tokens.get() == "two"


async def test_who_cannot_wait_gives_up_and_the_fetch_goes_on(
    tmp_path: Path,
    private_key: str,
) -> None:
    release = asyncio.Event()

    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await token("late")(request, writer)

    async with tokens_of(tmp_path, private_key, slow) as tokens:
        with pytest.raises(TokenError) as caught:
            await tokens.get(within_s=0.05)
        assert (caught.value.result, caught.value.code) == (Result.RETRYABLE, "token_timeout")
        patient = asyncio.create_task(tokens.get())
        await tokens.endpoint.arrived.wait()
        release.set()
        assert await patient == "late"
        assert len(tokens.endpoint.requests) == 1


async def test_a_cancelled_waiter_does_not_end_the_fetch(tmp_path: Path, private_key: str) -> None:
    async with tokens_of(tmp_path, private_key, TOKEN) as tokens:
        waiter = asyncio.create_task(tokens.get())
        await asyncio.sleep(0)
        waiter.cancel()
        assert await tokens.get() == "t0k3n"
        assert len(tokens.endpoint.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "result", "code"),
    [
        (answer(400, {"error": "invalid_grant"}), Result.CONFIGURATION_FAULT, "token_refused"),
        # google-auth is still trying, but the push cannot wait for it.
        (answer(503, b""), Result.RETRYABLE, "token_timeout"),
        (silence, Result.RETRYABLE, "token_timeout"),
    ],
)
async def test_without_a_token_no_push_is_sent(
    tmp_path: Path,
    private_key: str,
    behaviour: Behaviour,
    result: Result,
    code: str,
) -> None:
    started = time.monotonic()
    async with google(tmp_path, private_key, tokens=(behaviour,), total_timeout_s=1.0) as at:
        outcome = await at.push.send(PUSH)
        assert at.fcm.requests == []
    assert (outcome.result, outcome.code) == (result, code)
    assert outcome.detail is not None
    assert time.monotonic() - started < 10.0
