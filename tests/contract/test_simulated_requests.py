"""What the simulated Twilio makes of requests: refusals of any number, credentials, cancelling."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from twilio.request_validator import RequestValidator

from outbox.simulators.credentials import API_KEY, API_SECRET, AUTH_TOKEN, STRIPE_KEY
from outbox.simulators.twilio_messages import ACCOUNT_SID
from tests.contract.loopback import answer, serve
from tests.contract.simulated import (
    AUTH,
    FROM,
    MESSAGES,
    Simulated,
    client,
    for_many,
    received,
    simulators,
)

PLAIN = "+12025550100"
SERVICE = "MG" + "7" * 32


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    ledger = tmp_path_factory.mktemp("simulated") / "ledger.sqlite"
    with for_many(ledger) as base:
        yield base


@pytest.fixture
async def sim(url: str) -> AsyncIterator[Simulated]:
    async with client(url) as http:
        yield Simulated(http, shared=True)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": ""}, 21604),
        ({"To": "12025550100"}, 21211),
        ({"From": ""}, 21603),
        ({"From": "?"}, 21212),
        ({"From": "+15005550008"}, 21611),
        ({"To": "+15005550001"}, 21211),
        ({"To": "+15005550002"}, 21612),
        ({"To": "+15005550003"}, 21408),
        ({"To": "+15005550004"}, 21610),
        ({"To": "+15005550009"}, 21614),
        ({"From": "", "MessagingServiceSid": "MG1"}, 21703),
        ({"Body": ""}, 21602),
        ({"Body": "x" * 1601}, 21617),
        ({"Body": "a\0b"}, 21618),
        ({"ValidityPeriod": "0"}, 21624),
        ({"ValidityPeriod": "36001"}, 21624),
        ({"StatusCallback": "nowhere"}, 21609),
        ({"ScheduleType": "soon"}, 35126),
        ({"ScheduleType": "fixed"}, 35118),
        ({"ScheduleType": "fixed", "MessagingServiceSid": SERVICE}, 35111),
        (
            {"ScheduleType": "fixed", "MessagingServiceSid": SERVICE, "SendAt": "2020-01-01"},
            35114,
        ),
    ],
)
async def test_what_twilio_refuses_of_any_number(
    sim: Simulated,
    form: dict[str, str],
    code: int,
) -> None:
    refused = await sim.text(**{"to": PLAIN, **form})
    assert (refused.status_code, refused.json()["code"]) == (400, code)
    assert await sim.ledger() == []


async def test_credentials(sim: Simulated) -> None:
    path = f"{MESSAGES}.json"
    for auth in (None, ("AC" + "0" * 32, AUTH_TOKEN), (ACCOUNT_SID, "wrong")):
        refused = await sim.http.get(path, auth=auth)
        assert (refused.status_code, refused.json()["code"]) == (401, 20003)
    for good in (AUTH, (API_KEY, API_SECRET)):
        assert (await sim.http.get(path, auth=good)).status_code == 200
    other = f"/2010-04-01/Accounts/AC{'0' * 32}/Messages.json"
    assert (await sim.http.get(other, auth=AUTH)).json()["code"] == 20404


async def test_credentials_are_rotated(tmp_path: Path) -> None:
    async with simulators(tmp_path) as sim, serve(answer(204)) as server:
        path, sought = f"{MESSAGES}.json", "/_sim/credentials"
        tokens = ["another-token", AUTH_TOKEN]
        both = {
            "twilio_auth_tokens": tokens,
            "stripe_api_keys": ["sk_another"],
        }
        assert (await sim.http.post(sought, json=both)).json() == both
        for token in tokens:
            assert (await sim.http.get(path, auth=(ACCOUNT_SID, token))).status_code == 200
        stripe = {key: {"Authorization": f"Bearer {key}"} for key in ("sk_another", STRIPE_KEY)}
        answers = [await sim.http.get("/v1/events", headers=each) for each in stripe.values()]
        assert [each.status_code for each in answers] == [200, 401]
        # What is left out stays as it is.
        await sim.http.post(sought, json={"twilio_auth_tokens": ["another-token"]})
        assert (await sim.http.get(path, auth=AUTH)).status_code == 401
        url = f"{server.url}/"
        form = {"To": PLAIN, "From": FROM, "Body": "x", "StatusCallback": url}
        await sim.http.post(path, data=form, auth=(ACCOUNT_SID, "another-token"))
        heard, _ = await received(server, 2)
        signature = heard.headers["x-twilio-signature"]
        assert RequestValidator("another-token").validate(url, heard.form, signature)
        wrongs: list[dict[str, object]] = [
            {"twilio_auth_tokens": []},
            {"stripe_api_keys": "sk_another"},
            {"tokens": ["x"]},
        ]
        for wrong in wrongs:
            assert (await sim.http.post(sought, json=wrong)).status_code == 400
        assert (await sim.http.get(sought)).json() == {
            "twilio_auth_tokens": ["another-token"],
            "stripe_api_keys": ["sk_another"],
        }
        assert (await sim.http.delete(sought)).status_code == 405


def later(minutes: float) -> str:
    return (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_scheduled_message_is_cancelled_and_never_sent(sim: Simulated) -> None:
    async with serve(answer(204)) as server:
        form = {"MessagingServiceSid": SERVICE, "ScheduleType": "fixed", "SendAt": later(20)}
        taken = await sim.text(PLAIN, StatusCallback=f"{server.url}/", **form)
        sid = taken.json()["sid"]
        assert taken.json()["status"] == (await sim.message(sid)).json()["status"] == "scheduled"
        url = f"{MESSAGES}/{sid}.json"
        odd = await sim.http.post(url, data={"Status": "paused"}, auth=AUTH)
        assert odd.json()["code"] == 30400
        done = await sim.http.post(url, data={"Status": "canceled"}, auth=AUTH)
        assert (done.status_code, done.json()["status"]) == (200, "canceled")
        (told,) = await received(server, 1)
        assert told.form["MessageStatus"] == "canceled"
        again = await sim.http.post(url, data={"Status": "canceled"}, auth=AUTH)
        assert (again.status_code, again.json()["code"]) == (400, 30409)
    assert (await sim.message(sid)).json()["status"] == "canceled"


async def test_what_is_not_scheduled_cannot_be_cancelled(sim: Simulated) -> None:
    sid = (await sim.text(PLAIN)).json()["sid"]
    for name, code in ((sid, 30409), ("SM" + "0" * 32, 20404)):
        refused = await sim.http.post(
            f"{MESSAGES}/{name}.json",
            data={"Status": "canceled"},
            auth=AUTH,
        )
        assert refused.json()["code"] == code
