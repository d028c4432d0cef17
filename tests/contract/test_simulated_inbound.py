"""Texts of people at the simulator: a signed webhook, and an opt-out that Twilio remembers."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from twilio.request_validator import RequestValidator

from outbox.simulators.credentials import AUTH_TOKEN
from outbox.simulators.twilio_messages import ACCOUNT_SID
from tests.contract.loopback import Loopback, answer, serve
from tests.contract.simulated import FROM, InAProcess, Simulated, client, received, simulators

PERSON = "+12025550100"
STOP = ["STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"]
START = ["START", "YES", "UNSTOP"]


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[Simulated, Loopback]]:
    """The simulator, and who is told of inbound texts."""
    async with (
        serve(answer(200, b"<Response/>")) as gateway,
        simulators(folder, callback=gateway.url) as sim,
    ):
        yield sim, gateway


async def say(sim: Simulated, body: str, **more: str) -> httpx.Response:
    text = {"from": PERSON, "to": FROM, "body": body, **more}
    return await sim.http.post("/_sim/inbound", json=text)


async def test_the_webhook_has_twilios_fields_and_signature(tmp_path: Path) -> None:
    async with both(tmp_path) as (sim, gateway):
        said = await say(sim, "Please stöp this – 1 & 2", opt_out_type="HELP")
        (request,) = await received(gateway, 1)
    assert (request.method, request.target) == ("POST", "/webhooks/twilio/inbound")
    assert request.form == {
        "AccountSid": ACCOUNT_SID,
        "ApiVersion": "2010-04-01",
        "Body": "Please stöp this – 1 & 2",
        "From": PERSON,
        "FromCountry": "US",
        "MessageSid": said.json()["sid"],
        "NumMedia": "0",
        "NumSegments": "1",
        "OptOutType": "HELP",
        "SmsMessageSid": said.json()["sid"],
        "SmsSid": said.json()["sid"],
        "SmsStatus": "received",
        "To": FROM,
        "ToCountry": "US",
    }
    signature = request.headers["x-twilio-signature"]
    url = f"{gateway.url}/webhooks/twilio/inbound"
    assert RequestValidator(AUTH_TOKEN).validate(url, request.form, signature)
    assert not RequestValidator("another").validate(url, request.form, signature)


async def test_an_ordinary_text_has_no_opt_out_type_and_changes_nothing(tmp_path: Path) -> None:
    async with both(tmp_path) as (sim, gateway):
        said = await say(sim, "Thank you, please STOP it")
        assert said.json()["opted_out"] is False
        assert "OptOutType" not in (await received(gateway, 1))[0].form
        assert (await sim.text(PERSON)).status_code == 201


@pytest.mark.parametrize("word", [*STOP, "stop", " Stop\n"])
async def test_after_a_word_of_stop_texts_are_refused(tmp_path: Path, word: str) -> None:
    async with both(tmp_path) as (sim, _):
        assert (await say(sim, word)).json()["opted_out"] is True
        refused = await sim.text(PERSON)
        assert (refused.status_code, refused.json()["code"]) == (400, 21610)
        assert (await sim.text("+12025550101")).status_code == 201
        assert [line["to"] for line in await sim.ledger()] == ["+12025550101"]


@pytest.mark.parametrize("word", [*START, "start"])
async def test_a_word_of_start_lets_texts_through_again(tmp_path: Path, word: str) -> None:
    async with both(tmp_path) as (sim, _):
        await say(sim, "STOP")
        assert (await say(sim, "HELP")).json()["opted_out"] is True
        assert (await say(sim, word)).json()["opted_out"] is False
        assert (await sim.text(PERSON)).status_code == 201


async def test_advanced_opt_out_knows_more_words(tmp_path: Path) -> None:
    async with both(tmp_path) as (sim, gateway):
        assert (await say(sim, "ALTO", opt_out_type="STOP")).json()["opted_out"] is True
        assert (await received(gateway, 1))[0].form["OptOutType"] == "STOP"


async def test_an_opt_out_survives_a_kill(tmp_path: Path) -> None:
    async with serve(answer(204)) as gateway:
        options = "--callback", gateway.url
        with InAProcess(tmp_path / "ledger.sqlite", *options) as process:
            async with client(process.start()) as http:
                await say(Simulated(http), "STOP")
            process.end(signal.SIGKILL)
            async with client(process.start()) as http:
                assert (await Simulated(http).text(PERSON)).json()["code"] == 21610
                await say(Simulated(http), "START")
            process.end(signal.SIGKILL)
            async with client(process.start()) as http:
                assert (await Simulated(http).text(PERSON)).status_code == 201
            assert process.end(signal.SIGTERM) == 0


async def test_a_refused_webhook_is_not_the_opt_outs_end(tmp_path: Path) -> None:
    async with both(tmp_path) as (sim, gateway):
        gateway.then(answer(403))
        await say(sim, "STOP")
        await received(gateway, 1)
        assert (await sim.text(PERSON)).json()["code"] == 21610


@pytest.mark.parametrize(
    "text",
    [
        {},
        {"from": "nobody", "to": FROM, "body": "STOP"},
        {"from": PERSON, "to": "nobody", "body": "STOP"},
        {"from": PERSON, "to": FROM},
        {"from": PERSON, "to": FROM, "body": "x" * 1601},
        {"from": PERSON, "to": FROM, "body": "STOP", "opt_out_type": "NO"},
        {"from": PERSON, "to": FROM, "body": "STOP", "loud": True},
    ],
)
async def test_a_text_that_makes_no_sense_is_refused(tmp_path: Path, text: object) -> None:
    async with both(tmp_path) as (sim, gateway):
        refused = await sim.http.post("/_sim/inbound", json=text)
        assert refused.status_code == 400
        assert set(refused.json()["accepted"]) == {"from", "to", "body", "opt_out_type"}
        assert gateway.requests == []


async def test_without_a_callback_texts_have_nowhere_to_go(tmp_path: Path) -> None:
    async with simulators(tmp_path) as sim:
        refused = await say(sim, "STOP")
        assert refused.status_code == 409
        assert "--callback" in refused.json()["error"]
        assert (await sim.text(PERSON)).status_code == 201
