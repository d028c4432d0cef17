"""Sends through Twilio's SDK against a raw loopback server: the request, every kind of answer."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from outbox.domain.messages import Sms
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.transport import PooledTransport
from outbox.providers.twilio import TwilioSms
from outbox.relay.ports import SmsProvider
from outbox.settings import TwilioSettings
from tests.contract.conftest import Events
from tests.contract.loopback import Behaviour, Loopback, answer, hang_up, raw, serve, silence

ACCOUNT = "AC" + "1" * 32
SERVICE = "MG" + "2" * 32
SID = "SM" + "3" * 32
TO = "+12025550199"
SMS = Sms(
    to=TO,
    sender="+12025550123",
    body="Ann Example missed a check-in – call her. Ref K7Q2M9XA",
    reference="a-b_c" * 11,
    validity_s=14_400,
)
CREATED = answer(201, {"sid": SID, "status": "queued", "error_code": None, "to": TO})


def settings(api_base: str) -> TwilioSettings:
    return TwilioSettings(
        account_sid=ACCOUNT,
        auth_tokens=("s3cret-token",),
        username="SK" + "4" * 32,
        password="s3cret",
        senders=(SMS.sender,),
        api_base=api_base,
    )


@asynccontextmanager
async def adapter(server: Loopback, *, total_timeout_s: float = 2.0) -> AsyncIterator[TwilioSms]:
    async with PooledTransport(total_timeout_s=total_timeout_s) as transport:
        yield TwilioSms(
            settings(server.url),
            transport,
            callback="https://pruuf.example/webhooks/twilio/status",
            total_timeout_s=total_timeout_s,
        )


async def sent(behaviour: Behaviour, sms: Sms = SMS, *, timeout_s: float = 2.0) -> Outcome:
    """The outcome of one send, which must have been one request at most."""
    async with serve(behaviour) as server, adapter(server, total_timeout_s=timeout_s) as twilio:
        outcome = await twilio.send(sms)
        assert len(server.requests) == 1
    return outcome


async def test_the_request_is_what_twilio_documents() -> None:
    async with serve(CREATED) as server, adapter(server) as twilio:
        fits: SmsProvider = twilio
        outcome = await fits.send(SMS)
        (request,) = server.requests
    assert (request.method, request.target) == (
        "POST",
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
    )
    assert request.form == {
        "To": SMS.to,
        "From": SMS.sender,
        "Body": SMS.body,
        "ValidityPeriod": "14400",
        "SmartEncoded": "true",
        "StatusCallback": (
            f"https://pruuf.example/webhooks/twilio/status?ref={SMS.reference}#rc=5&rp=all"
        ),
    }
    credentials = base64.b64decode(request.headers["authorization"].removeprefix("Basic "))
    assert credentials.decode() == "SK" + "4" * 32 + ":s3cret"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["x-twilio-client"].startswith("python-")
    assert outcome.result is Result.ACCEPTED
    assert (outcome.provider, outcome.provider_id, outcome.code) == ("twilio", SID, None)


async def test_a_messaging_service_takes_the_place_of_the_number() -> None:
    async with serve(CREATED) as server, adapter(server) as twilio:
        await twilio.send(msgspec.structs.replace(SMS, sender=SERVICE))
        form = server.requests[0].form
    assert form["MessagingServiceSid"] == SERVICE
    assert "From" not in form


async def test_the_environment_of_the_sdk_moves_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TWILIO_EDGE", "TWILIO_REGION", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"):
        monkeypatch.setenv(name, "frankfurt")
    assert (await sent(CREATED)).result is Result.ACCEPTED


def error(status: int, code: int | None, **headers: str) -> Behaviour:
    body = {"code": code, "message": f"no, {TO}", "more_info": "…", "status": status}
    return answer(status, body, **headers)


def problem(status: int, code: object) -> Behaviour:
    """The newer shape of Twilio's errors (RFC 9457)."""
    return answer(status, {"type": "about:blank", "title": TO, "status": status, "code": code})


@pytest.mark.parametrize(
    ("behaviour", "result", "code"),
    [
        (error(400, 21211), Result.CHANNEL_FINAL, "21211"),
        (error(400, 21610), Result.RECIPIENT_SUPPRESSED, "21610"),
        (error(400, 21617), Result.CONTENT_FINAL, "21617"),
        (error(401, 20003), Result.CONFIGURATION_FAULT, "20003"),
        (error(429, 20429), Result.RETRYABLE, "20429"),
        (error(400, 21611), Result.SENDER_FAULT, "21611"),
        (error(500, 20500), Result.OUTCOME_UNKNOWN, "20500"),
        (error(503, 20503), Result.OUTCOME_UNKNOWN, "20503"),
        (error(400, 21998), Result.CONFIGURATION_FAULT, "21998"),
        (error(400, None), Result.CONTENT_FINAL, "400"),
        (problem(400, 21614), Result.CHANNEL_FINAL, "21614"),
        (problem(500, "odd"), Result.OUTCOME_UNKNOWN, "500"),
        (answer(400, [1]), Result.CONTENT_FINAL, "400"),
        (answer(404, b"<html>"), Result.CONFIGURATION_FAULT, "404"),
        (answer(429, b"slow down"), Result.RETRYABLE, "429"),
        (answer(502, b"<html>"), Result.OUTCOME_UNKNOWN, "502"),
        (answer(302, b"", Location="/"), Result.CONFIGURATION_FAULT, "302"),
    ],
)
async def test_refusals(behaviour: Behaviour, result: Result, code: str) -> None:
    outcome = await sent(behaviour)
    assert (outcome.result, outcome.code) == (result, code)
    assert TO not in str(outcome)


async def test_retry_after_of_a_429_is_kept_although_the_sdk_drops_headers() -> None:
    assert (await sent(error(429, 20429, Retry_After="17"))).retry_after_s == 17.0
    assert (await sent(error(429, 20429))).retry_after_s is None
    # Of an outage it says nothing about this message: it is asked for first.
    assert (await sent(error(503, 20503, Retry_After="17"))).retry_after_s is None


async def test_each_call_has_its_own_retry_after() -> None:
    async with serve(CREATED) as server, adapter(server) as twilio:

        async def turn(_: object, writer: asyncio.StreamWriter) -> None:
            number = len(server.requests)
            await error(429, 20429, Retry_After=str(number))(server.requests[-1], writer)

        server.then(turn)
        outcomes = await asyncio.gather(*(twilio.send(SMS) for _ in range(20)))
    assert sorted(o.retry_after_s or 0 for o in outcomes) == [float(n) for n in range(1, 21)]


@pytest.mark.parametrize(
    ("status", "code", "result"),
    [
        ("accepted", None, Result.ACCEPTED),
        ("queued", 30018, Result.WARNING),
        ("failed", 30001, Result.SENDER_FAULT),
        ("failed", "30007", Result.CONTENT_FINAL),
    ],
)
async def test_a_success_is_what_its_status_says(
    status: str,
    code: object,
    result: Result,
) -> None:
    outcome = await sent(answer(201, {"sid": SID, "status": status, "error_code": code}))
    assert (outcome.result, outcome.provider_id) == (result, SID)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"sid": null, "status": "queued"}', b'{"sid": "SM', b"<html>", b"\xff"],
)
async def test_a_success_that_is_not_twilios_is_unknown(body: bytes) -> None:
    outcome = await sent(answer(201, body))
    assert (outcome.result, outcome.code) == (Result.OUTCOME_UNKNOWN, "malformed_answer")


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [(hang_up, "closed"), (silence, "timeout"), (raw(b"HTTP/1.1 201 Cr"), "closed")],
)
async def test_a_lost_answer_is_unknown_and_not_sent_again(behaviour: Behaviour, code: str) -> None:
    outcome = await sent(behaviour, timeout_s=0.5)
    assert (outcome.result, outcome.code) == (Result.OUTCOME_UNKNOWN, code)
    assert outcome.latency_ms < 10_000


async def test_a_connection_that_was_never_made_is_retryable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with PooledTransport(total_timeout_s=1.0) as transport:
            twilio = TwilioSms(settings(base), transport, callback="https://pruuf.example/")
            outcome = await twilio.send(SMS)
    assert (outcome.result, outcome.code) == (Result.RETRYABLE, "connect")


@pytest.mark.parametrize("behaviour", [CREATED, error(400, 21211), hang_up, answer(201, b"?")])
async def test_each_call_is_one_event_without_a_number_a_text_or_a_secret(
    behaviour: Behaviour,
    events: Events,
) -> None:
    await sent(behaviour)
    ((name, fields),) = events.wide
    assert name == "sms.send"
    assert {"provider", "result", "code", "provider_id", "latency_ms"} <= fields.keys()
    for hidden in (TO[1:], "Ann Example", "K7Q2M9XA", SMS.reference, "s3cret", SMS.sender[1:]):
        assert hidden not in events.text


async def test_a_code_that_is_not_listed_is_seen_in_the_log(events: Events) -> None:
    await sent(error(400, 21998))
    assert events.wide[0][1]["listed"] is False
