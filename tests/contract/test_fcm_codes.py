"""Every documented error of FCM through its HTTP answer, the expectations written out by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import pytest

from outbox.domain.outcomes import Result
from outbox.providers.codes import classify_push, table
from tests.contract.conftest import Events
from tests.contract.loopback import Behaviour, answer, serve
from tests.contract.push_adapter import PUSH, TAKEN, TOKEN, google, refusal

GONE, TEXT = Result.CHANNEL_FINAL, Result.CONTENT_FINAL
OURS, LATER, ASK = Result.CONFIGURATION_FAULT, Result.RETRYABLE, Result.OUTCOME_UNKNOWN


class Expected(NamedTuple):
    """What one answer means."""

    behaviour: Behaviour
    result: Result
    wait_s: float | None
    """Without a Retry-After of the answer."""
    about: str
    operator: str


PAGE = answer(502, b"<html>of a front end</html>")
EXPECTED = {
    "UNSPECIFIED_ERROR": Expected(refusal(400, "UNSPECIFIED_ERROR"), ASK, None, "provider", "log"),
    "INVALID_ARGUMENT": Expected(
        refusal(400, "INVALID_ARGUMENT", field="message.data"), TEXT, None, "text", "ticket"
    ),
    "INVALID_ADDRESS": Expected(
        refusal(400, "INVALID_ARGUMENT", field="message.token"), GONE, None, "recipient", "log"
    ),
    "UNREGISTERED": Expected(refusal(404, "UNREGISTERED"), GONE, None, "recipient", "log"),
    "SENDER_ID_MISMATCH": Expected(
        refusal(403, "SENDER_ID_MISMATCH"), GONE, None, "recipient", "ticket"
    ),
    "QUOTA_EXCEEDED": Expected(refusal(429, "QUOTA_EXCEEDED"), LATER, 60.0, "account", "log"),
    "UNAVAILABLE": Expected(refusal(503, "UNAVAILABLE"), LATER, 10.0, "provider", "log"),
    "INTERNAL": Expected(refusal(500, "INTERNAL"), LATER, 10.0, "provider", "log"),
    "THIRD_PARTY_AUTH_ERROR": Expected(
        refusal(401, "THIRD_PARTY_AUTH_ERROR"), OURS, None, "account", "page"
    ),
    "APNS_AUTH_ERROR": Expected(refusal(401, "APNS_AUTH_ERROR"), OURS, None, "account", "page"),
    "400": Expected(refusal(400), TEXT, None, "request", "ticket"),
    "401": Expected(refusal(401), OURS, None, "account", "page"),
    "403": Expected(refusal(403), OURS, None, "account", "page"),
    "404": Expected(refusal(404), OURS, None, "account", "page"),
    "408": Expected(refusal(408), ASK, None, "provider", "log"),
    "429": Expected(refusal(429), LATER, 60.0, "account", "log"),
    "500": Expected(refusal(500), LATER, 10.0, "provider", "log"),
    "502": Expected(PAGE, LATER, 10.0, "provider", "log"),
    "503": Expected(refusal(503), LATER, 10.0, "provider", "log"),
    "504": Expected(refusal(504), ASK, None, "provider", "log"),
}


def test_the_expectations_are_of_every_row_and_of_no_other() -> None:
    assert EXPECTED.keys() == table("fcm").keys()


async def test_every_row_as_the_answer_to_a_push(tmp_path: Path, private_key: str) -> None:
    got = {}
    async with google(tmp_path, private_key) as at:
        for code, expected in EXPECTED.items():
            at.fcm.then(expected.behaviour)
            outcome = await at.push.send(PUSH)
            got[code] = (outcome.result, outcome.code, outcome.retry_after_s, outcome.detail)
    assert got == {
        code: (expected.result, code, expected.wait_s, table("fcm")[code].name)
        for code, expected in EXPECTED.items()
    }


def test_every_row_says_whose_fault_it_is_and_what_the_operator_gets() -> None:
    got = {code: (row.about, row.operator) for code, row in table("fcm").items()}
    assert got == {code: (one.about, one.operator) for code, one in EXPECTED.items()}
    assert all(row.remedy and row.name for row in table("fcm").values())


def test_retry_after_is_obeyed_where_the_fault_passes_and_only_there() -> None:
    for code, expected in EXPECTED.items():
        status = int(code) if code.isdigit() else 400
        detail = None if code.isdigit() else code
        _, wait_s = classify_push(status, detail, {"retry-after": "7"})
        assert wait_s == (7.0 if expected.result is LATER else None)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (refusal(599), (LATER, "599", 10.0)),
        (refusal(501), (LATER, "501", 10.0)),
        (refusal(418), (OURS, "418", None)),
        (answer(301, b"", Location="/"), (OURS, "301", None)),
        # An unknown detail is shown, and its status decides.
        (refusal(404, "OF_TOMORROW"), (OURS, "OF_TOMORROW", None)),
        (refusal(503, "OF_TOMORROW"), (LATER, "OF_TOMORROW", 10.0)),
        # What does not look like a code is not shown: it may hold anything.
        (refusal(404, f"no {PUSH.address}"), (OURS, "404", None)),
        (answer(404, {"error": {"details": "UNREGISTERED"}}), (OURS, "404", None)),
        (answer(404, {"error": {"details": [{"errorCode": "UNREGISTERED"}]}}), (OURS, "404", None)),
        (answer(404, b"UNREGISTERED"), (OURS, "404", None)),
        (answer(400, b"\xff"), (TEXT, "400", None)),
        # The address as a field, with FCM's violation in a shape of its own.
        (refusal(400, "INVALID_ARGUMENT", field="message.fid"), (GONE, "INVALID_ADDRESS", None)),
        (refusal(400, "INVALID_ARGUMENT"), (TEXT, "INVALID_ARGUMENT", None)),
    ],
)
async def test_what_is_not_listed_has_a_policy(
    tmp_path: Path,
    private_key: str,
    behaviour: Behaviour,
    expected: tuple[Result, str, float | None],
) -> None:
    async with google(tmp_path, private_key, behaviour) as at:
        outcome = await at.push.send(PUSH)
    assert (outcome.result, outcome.code, outcome.retry_after_s) == expected
    assert PUSH.address not in str(outcome)


async def test_a_code_that_is_not_listed_is_seen_in_the_log(
    tmp_path: Path,
    private_key: str,
    events: Events,
) -> None:
    async with google(tmp_path, private_key, refusal(404, "OF_TOMORROW")) as at:
        await at.push.send(PUSH)
    assert events.wide[-1][1]["listed"] is False


async def test_retry_after_of_an_answer_goes_before_the_tables_pause(
    tmp_path: Path,
    private_key: str,
) -> None:
    busy = refusal(429, "QUOTA_EXCEEDED", Retry_After="17")
    async with google(tmp_path, private_key, busy) as at:
        assert (await at.push.send(PUSH)).retry_after_s == 17.0
        dated = {"Date": "Tue, 24 Nov 2026 09:00:00 GMT"}
        at.fcm.then(refusal(503, Retry_After="Tue, 24 Nov 2026 09:02:00 GMT", **dated))
        assert (await at.push.send(PUSH)).retry_after_s == 120.0
        at.fcm.then(refusal(503, Retry_After="soon"))
        assert (await at.push.send(PUSH)).retry_after_s == 10.0


async def test_a_refused_access_token_is_renewed_once(tmp_path: Path, private_key: str) -> None:
    """An old token may have been revoked: the next call has a new one. A new one is no help."""
    now = 1000.0
    async with google(tmp_path, private_key) as at:
        at.push._tokens._clock = lambda: now
        assert (await at.push.send(PUSH)).result is Result.ACCEPTED
        now += 61
        at.fcm.then(refusal(401), TAKEN)
        refused = await at.push.send(PUSH)
        assert (refused.result, refused.code) == (Result.RETRYABLE, "401")
        assert (await at.push.send(PUSH)).result is Result.ACCEPTED
        assert len(at.tokens.requests) == 2
        now += 1
        at.fcm.then(refusal(401))
        assert (await at.push.send(PUSH)).result is Result.CONFIGURATION_FAULT


async def test_a_token_that_was_refused_to_many_is_renewed_once(
    tmp_path: Path,
    private_key: str,
) -> None:
    now = 1000.0
    async with google(tmp_path, private_key) as at:
        at.push._tokens._clock = lambda: now
        await at.push.send(PUSH)
        now += 61
        at.fcm.then(refusal(401))
        outcomes = await asyncio.gather(*(at.push.send(PUSH) for _ in range(20)))
        assert {outcome.result for outcome in outcomes} == {Result.RETRYABLE}
        at.fcm.then(TAKEN)
        await asyncio.gather(*(at.push.send(PUSH) for _ in range(20)))
        assert len(at.tokens.requests) == 2


async def test_apples_key_is_not_a_matter_of_our_token(tmp_path: Path, private_key: str) -> None:
    async with google(tmp_path, private_key, refusal(401, "THIRD_PARTY_AUTH_ERROR")) as at:
        for _ in range(3):
            assert (await at.push.send(PUSH)).result is Result.CONFIGURATION_FAULT
        assert len(at.tokens.requests) == 1


async def test_a_project_that_answers_for_another_is_not_followed(
    tmp_path: Path,
    private_key: str,
) -> None:
    async with serve(TAKEN) as other:
        redirect = answer(307, b"", Location=f"{other.url}/v1/projects/x/messages:send")
        async with google(tmp_path, private_key, redirect, tokens=(TOKEN,)) as at:
            assert (await at.push.send(PUSH)).result is Result.CONFIGURATION_FAULT
        assert other.requests == []
