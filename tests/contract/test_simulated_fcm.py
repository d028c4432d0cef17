"""The simulated FCM as a server of its own: every magic token, its checks, its access tokens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from google.auth import crypt, jwt

from outbox.simulators import magic
from outbox.simulators.environment import environment
from outbox.simulators.fcm import PROJECT
from outbox.simulators.google_tokens import issue
from tests.contract.loopback import answer, serve
from tests.contract.simulated import Simulated, client, for_many, received, simulators

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SEND = f"/v1/projects/{PROJECT}/messages:send"
TOKENS = {outcome.name: magic.token(outcome.name, 0) for outcome in magic.TABLE if outcome.prefix}
REFUSED = {
    # Outcome: status, canonical name, FCM's own code.
    "malformed": (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    "unregistered": (404, "NOT_FOUND", "UNREGISTERED"),
    "mismatch": (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    "quota": (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    "unavailable": (503, "UNAVAILABLE", "UNAVAILABLE"),
    "internal": (500, "INTERNAL", "INTERNAL"),
    "apns": (401, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    "wrongproject": (404, "NOT_FOUND", None),
}
ACKNOWLEDGED = {
    # Outcome: what the app says.
    "delivered": ["received"],
    "drop": ["received"],
    "slow": ["received"],
    "silent": [],
    "opened": ["received", "opened"],
    "flaky": ["received"],
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    ledger = tmp_path_factory.mktemp("simulated") / "ledger.sqlite"
    with for_many(ledger, slow_s=0.3) as base:
        yield base


@pytest.fixture
async def sim(url: str) -> AsyncIterator[Simulated]:
    async with client(url) as http:
        yield Simulated(http, shared=True)


def bearer(now: float | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {issue(time.time() if now is None else now)}"}


async def push(sim: Simulated, /, **message: Any) -> httpx.Response:  # noqa: ANN401 - any JSON
    return await sim.http.post(SEND, json={"message": message}, headers=bearer())


def code_of(refused: httpx.Response) -> str | None:
    details = refused.json()["error"].get("details", [])
    return next((d["errorCode"] for d in details if "FcmError" in d["@type"]), None)


def test_every_magic_token_has_an_expectation() -> None:
    assert TOKENS.keys() == REFUSED.keys() | ACKNOWLEDGED.keys()
    for outcome in magic.TABLE:
        if outcome.prefix:
            assert magic.of_token(magic.token(outcome.name, 7)) is outcome
    assert magic.of_token("sim-") is magic.of_token("sim-tomorrow-1") is magic.DELIVERED


@pytest.mark.parametrize("kind", ["token", "fid"])
@pytest.mark.parametrize("outcome", REFUSED)
async def test_a_refusal_is_in_fcms_shape_and_not_in_the_ledger(
    sim: Simulated,
    outcome: str,
    kind: str,
) -> None:
    status, canonical, code = REFUSED[outcome]
    refused = await push(sim, **{kind: TOKENS[outcome]})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (status, status)
    assert (error["status"], code_of(refused)) == (canonical, code)
    assert refused.headers.get("retry-after") == ("2" if outcome == "quota" else None)
    assert await sim.ledger() == []


@pytest.mark.parametrize(
    "outcome", [name for name in ACKNOWLEDGED if name not in {"drop", "flaky"}]
)
async def test_the_app_acknowledges_what_it_was_told_to(tmp_path: Path, outcome: str) -> None:
    async with (
        serve(answer(204)) as gateway,
        simulators(tmp_path, callback=gateway.url, slow_s=0.3) as sim,
    ):
        taken = await push(sim, token=TOKENS[outcome], data={"receipt_token": "r-1"})
        assert taken.json()["name"].startswith(f"projects/{PROJECT}/messages/")
        # What comes behind it tells that no more is to come.
        await push(sim, token=TOKENS["opened"], data={"receipt_token": "last"})
        requests = await received(gateway, len(ACKNOWLEDGED[outcome]) + 2)
    assert {request.target for request in requests} == {"/v1/receipts/push"}
    said = [msgspec.json.decode(request.body) for request in requests]
    of_this = [one["event"] for one in said if one["receipt_token"] == "r-1"]
    assert of_this == ACKNOWLEDGED[outcome]


async def test_without_a_receipt_token_the_app_has_nothing_to_say(tmp_path: Path) -> None:
    async with (
        serve(answer(204)) as gateway,
        simulators(tmp_path, callback=gateway.url) as sim,
    ):
        await push(sim, token="any", data={"kind": "note"})
        await push(sim, topic="news", data={"receipt_token": "of-many"})
        await push(sim, token="any", data={"receipt_token": "last"})
        (request,) = await received(gateway, 1)
    assert msgspec.json.decode(request.body)["receipt_token"] == "last"


async def test_drops_slow_answers_and_flaky_ones(sim: Simulated) -> None:
    with pytest.raises(httpx.TransportError):
        await push(sim, token=TOKENS["drop"])
    started = time.monotonic()
    assert (await push(sim, token=TOKENS["slow"])).status_code == 200
    assert time.monotonic() - started >= 0.3
    statuses = [(await push(sim, token=TOKENS["flaky"])).status_code for _ in range(3)]
    assert statuses == [503, 503, 200]
    taken = [line["to"] for line in await sim.ledger()]
    assert taken == [TOKENS["drop"], TOKENS["slow"], TOKENS["flaky"]]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "message"),
        ({"token": "a", "fid": "b"}, "message"),
        ({"token": 7}, "message"),
        ({"token": "a", "speed": 1}, "message.speed"),
        ({"token": "a", "data": {"n": 7}}, "message.data[n]"),
        ({"token": "a", "data": {"from": "x"}}, "message.data[from]"),
        ({"token": "a", "data": {"google.x": "x"}}, "message.data[google.x]"),
        ({"token": "a", "data": []}, "message.data"),
        ({"token": "a", "notification": "x"}, "message.notification"),
        ({"token": "a", "data": {"k": "x" * 4096}}, "message"),
        ({"token": "a", "android": {"ttl": "2419201s"}}, "message.android.ttl"),
        ({"token": "a", "android": {"ttl": 60}}, "message.android.ttl"),
    ],
)
async def test_what_fcm_refuses_of_any_token(
    sim: Simulated,
    message: dict[str, object],
    field: str,
) -> None:
    refused = await push(sim, **message)
    assert (refused.status_code, code_of(refused)) == (400, "INVALID_ARGUMENT")
    violations = refused.json()["error"]["details"][1]["fieldViolations"]
    assert violations[0]["field"] == field
    assert await sim.ledger() == []


async def test_a_dry_run_is_judged_and_sent_to_nobody(sim: Simulated) -> None:
    for token, status in (("any", 200), (TOKENS["unregistered"], 404)):
        body = {"message": {"token": token}, "validate_only": True}
        answered = await sim.http.post(SEND, json=body, headers=bearer())
        assert answered.status_code == status
    assert await sim.ledger() == []


async def test_only_its_own_project_and_its_own_tokens(sim: Simulated) -> None:
    body = {"message": {"token": "any"}}
    other = await sim.http.post("/v1/projects/x/messages:send", json=body, headers=bearer())
    assert (other.status_code, code_of(other)) == (404, None)
    for headers in ({}, {"Authorization": "Bearer ya29.real"}, bearer(time.time() - 3601)):
        refused = await sim.http.post(SEND, json=body, headers=headers)
        assert (refused.status_code, code_of(refused)) == (401, None)
    assert (await sim.http.get(SEND, headers=bearer())).status_code == 405
    assert (await sim.http.post(SEND, content=b"{", headers=bearer())).status_code == 400
    assert await sim.ledger() == []


def assertion(folder: Path, url: str, **changes: object) -> str:
    """What the service account of the printed settings would sign."""
    path = Path(environment(base_url=url, folder=folder)["GOOGLE_APPLICATION_CREDENTIALS"])
    account = msgspec.json.decode(path.read_bytes())
    signer = crypt.RSASigner.from_service_account_info(account)  # type: ignore[no-untyped-call]
    claims = {"iss": account["client_email"], "exp": time.time() + 3600, **changes}
    signed: bytes = jwt.encode(signer, claims)  # type: ignore[no-untyped-call]
    return signed.decode()


async def test_an_assertion_of_a_service_account_gives_a_token(
    sim: Simulated,
    tmp_path: Path,
) -> None:
    async def ask(grant: str = GRANT, **changes: object) -> httpx.Response:
        form = {"grant_type": grant, "assertion": assertion(tmp_path, sim.url, **changes)}
        return await sim.http.post("/token", data=form)

    granted = (await ask()).json()
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 3600)
    headers = {"Authorization": f"Bearer {granted['access_token']}"}
    body = {"message": {"token": "any"}}
    assert (await sim.http.post(SEND, json=body, headers=headers)).status_code == 200
    for refused in (await ask(exp=1), await ask(iss=7), await ask(grant="password")):
        assert refused.status_code == 400
        assert refused.json()["error"] in {"invalid_grant", "unsupported_grant_type"}
