"""The simulated Twilio as a server of its own: every magic number, receipts, lists, cancelling."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import phonenumbers
import pytest
from twilio.request_validator import RequestValidator

from outbox.domain.receipts import Rank, rank_of
from outbox.simulators import magic
from outbox.simulators.credentials import AUTH_TOKEN
from outbox.simulators.twilio_messages import ACCOUNT_SID, SENDERS
from tests.contract.loopback import Request, answer, serve
from tests.contract.simulated import (
    FROM,
    Simulated,
    client,
    for_many,
    received,
)

PLAIN = "+12025550100"
SERVICE = "MG" + "7" * 32

REFUSED = {
    # Outcome: status, Twilio's code.
    "invalid": (400, 21211),
    "opted_out": (400, 21610),
    "landline": (400, 21614),
    "region": (400, 21408),
    "unroutable": (400, 21612),
    "credentials": (401, 20003),
    "throttled": (429, 20429),
    "broken": (500, 20500),
    "unavailable": (503, 20503),
}
TOLD = {
    # Outcome: the receipts, in order.
    "delivered": ["sent", "delivered"],
    "failed_30001": ["failed 30001"],
    "undelivered_30003": ["sent", "undelivered 30003"],
    "undelivered_30005": ["sent", "undelivered 30005"],
    "undelivered_30006": ["sent", "undelivered 30006"],
    "undelivered_30007": ["sent", "undelivered 30007"],
    "undelivered_30008": ["sent", "undelivered 30008"],
    "undelivered_30034": ["sent", "undelivered 30034"],
    "no_receipt": [],
    "sent_only": ["sent"],
    "drop": ["sent", "delivered"],
    "slow": ["sent", "delivered"],
    "early": ["sent", "delivered"],
    "shuffled": ["delivered", "delivered", "sent", "sent"],
    "contradicted": ["sent", "undelivered 30008", "delivered"],
    "flaky": ["sent", "delivered"],
}
NUMBERS = {outcome.name: magic.number(outcome.name, 0) for outcome in magic.TABLE if outcome.areas}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    ledger = tmp_path_factory.mktemp("simulated") / "ledger.sqlite"
    with for_many(ledger, slow_s=0.3, final_after_s=0.05) as base:
        yield base


@pytest.fixture
async def sim(url: str) -> AsyncIterator[Simulated]:
    async with client(url) as http:
        yield Simulated(http, shared=True)


def said(request: Request) -> str:
    code = request.form.get("ErrorCode")
    return request.form["MessageStatus"] + (f" {code}" if code else "")


def test_every_magic_number_has_an_expectation() -> None:
    assert NUMBERS.keys() == REFUSED.keys() | TOLD.keys()


@pytest.mark.parametrize("n", [0, 7_999])
def test_every_magic_number_is_one_that_the_gateway_takes(n: int) -> None:
    for outcome in magic.TABLE:
        if outcome.areas:
            number = magic.number(outcome.name, n)
            assert phonenumbers.is_valid_number(phonenumbers.parse(number))
            assert magic.of_number(number) is outcome


@pytest.mark.parametrize("outcome", REFUSED)
async def test_a_refusal_is_in_twilios_shape_and_not_in_the_ledger(
    sim: Simulated,
    outcome: str,
) -> None:
    status, code = REFUSED[outcome]
    for _ in range(2):
        refused = await sim.text(NUMBERS[outcome])
        assert refused.status_code == status
        body = refused.json()
        assert (body["code"], body["status"]) == (code, status)
        assert body["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert refused.headers.get("retry-after") == ("2" if outcome == "throttled" else None)
    assert await sim.ledger() == []


@pytest.mark.parametrize("outcome", [name for name in TOLD if name not in {"drop", "flaky"}])
async def test_the_receipts_of_each_number(sim: Simulated, outcome: str) -> None:
    async with serve(answer(204)) as server:
        taken = await sim.text(NUMBERS[outcome], StatusCallback=f"{server.url}/{outcome}")
        assert (taken.status_code, taken.json()["status"]) == (201, "queued")
        # What is behind it in the queue tells that no more is to come.
        await sim.text(PLAIN, StatusCallback=f"{server.url}/last")
        requests = await received(server, len(TOLD[outcome]) + 2)
    receipts = [request for request in requests if request.path == f"/{outcome}"]
    assert [said(request) for request in receipts] == TOLD[outcome]
    assert {request.form["MessageSid"] for request in receipts} <= {taken.json()["sid"]}
    ended = (await sim.message(taken.json()["sid"])).json()
    last = TOLD[outcome][-1] if TOLD[outcome] else "queued"
    highest = max(TOLD[outcome] or [last], key=lambda one: rank_of("twilio", one.split()[0]))
    assert ended["status"] == highest.split()[0]
    assert str(ended["error_code"] or "") == highest.partition(" ")[2]


async def test_a_drop_is_accepted_without_an_answer(sim: Simulated) -> None:
    async with serve(answer(204)) as server:
        with pytest.raises(httpx.TransportError):
            await sim.text(NUMBERS["drop"], StatusCallback=f"{server.url}/?ref=r")
        assert [said(r) for r in await received(server, 2)] == TOLD["drop"]
    (line,) = await sim.ledger()
    assert (line["to"], line["reference"], line["answered"]) == (NUMBERS["drop"], "r", False)


async def test_a_flaky_number_is_taken_at_the_third_call(sim: Simulated) -> None:
    statuses = [(await sim.text(NUMBERS["flaky"])).status_code for _ in range(4)]
    assert statuses == [503, 503, 201, 201]
    other = magic.number("flaky", 1)
    assert (await sim.text(other)).status_code == 503


async def test_a_slow_answer_comes_later_than_it_was_accepted(sim: Simulated) -> None:
    started = time.monotonic()
    assert (await sim.text(NUMBERS["slow"])).status_code == 201
    assert time.monotonic() - started >= 0.3


async def test_early_receipts_come_before_the_answer(sim: Simulated) -> None:
    async with serve(answer(204)) as server:
        await sim.text(NUMBERS["early"], StatusCallback=f"{server.url}/")
        assert len(server.requests) == 2


@pytest.mark.parametrize("outcome", ["unroutable", "undelivered_30034"])
async def test_another_sender_may_where_the_first_one_cannot(sim: Simulated, outcome: str) -> None:
    taken = await sim.text(NUMBERS[outcome], From=SENDERS[1])
    assert taken.status_code == 201
    (line,) = await sim.ledger()
    assert line["id"] == taken.json()["sid"]
    async with serve(answer(204)) as server:
        await sim.text(NUMBERS[outcome], From=SENDERS[1], StatusCallback=f"{server.url}/")
        assert [said(r) for r in await received(server, 2)] == ["sent", "delivered"]


async def test_a_receipt_has_twilios_fields_and_signature(sim: Simulated) -> None:
    async with serve(answer(204)) as server:
        url = f"{server.url}/webhooks/twilio/status?ref=a-b_c"
        taken = await sim.text(PLAIN, StatusCallback=f"{url}#rc=5&rp=all")
        _, delivered = await received(server, 2)
    form = delivered.form
    assert form.pop("RawDlrDoneDate").isdigit()
    assert form == {
        "AccountSid": ACCOUNT_SID,
        "ApiVersion": "2010-04-01",
        "From": FROM,
        "MessageSid": taken.json()["sid"],
        "MessageStatus": "delivered",
        "SmsSid": taken.json()["sid"],
        "SmsStatus": "delivered",
        "To": PLAIN,
    }
    signature = delivered.headers["x-twilio-signature"]
    assert delivered.target == "/webhooks/twilio/status?ref=a-b_c"
    assert RequestValidator(AUTH_TOKEN).validate(url, delivered.form, signature)
    assert not RequestValidator(AUTH_TOKEN).validate(f"{url}x", delivered.form, signature)
    assert not RequestValidator("another").validate(url, delivered.form, signature)


async def test_a_refused_receipt_is_tried_again_as_the_fragment_asks(sim: Simulated) -> None:
    async with serve(answer(503), answer(503), answer(204)) as server:
        await sim.text(NUMBERS["sent_only"], StatusCallback=f"{server.url}/#rc=5&rp=all")
        requests = await received(server, 3)
        assert {said(request) for request in requests} == {"sent"}
        server.then(answer(503), answer(204))
        await sim.text(NUMBERS["sent_only"], StatusCallback=f"{server.url}/once")
        await sim.text(NUMBERS["sent_only"], StatusCallback=f"{server.url}/last")
        requests = await received(server, 5)
    assert [request.path for request in requests[3:]] == ["/once", "/last"]


async def test_a_messaging_service_takes_the_place_of_the_sender(sim: Simulated) -> None:
    async with serve(answer(204)) as server:
        form = {"MessagingServiceSid": SERVICE, "From": "", "StatusCallback": f"{server.url}/"}
        taken = (await sim.text(PLAIN, **form)).json()
        assert (taken["status"], taken["from"]) == ("accepted", None)
        assert taken["messaging_service_sid"] == SERVICE
        assert (await received(server, 1))[0].form["MessagingServiceSid"] == SERVICE


async def test_a_message_over_time_only_rises(sim: Simulated) -> None:
    sid = (await sim.text(PLAIN)).json()["sid"]
    ranks = [Rank.NONE]
    while ranks[-1] < Rank.DELIVERED:
        ranks.append(rank_of("twilio", (await sim.message(sid)).json()["status"]))
    assert ranks == sorted(ranks)
    shown = (await sim.message(sid)).json()
    sent = parsedate_to_datetime(shown["date_sent"])
    assert abs((sent - datetime.now(UTC)).total_seconds()) < 60
