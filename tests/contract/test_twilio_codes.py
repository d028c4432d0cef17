"""Every row of Twilio's table, through the answer to a send and through a receipt."""

from __future__ import annotations

import pytest

from outbox.domain import decide, plans
from outbox.domain.decide import Final, Move
from outbox.domain.outcomes import Outcome, Result
from outbox.domain.states import Work
from outbox.providers.codes import classify_receipt, classify_rest, is_of_one_route, table
from tests.contract.conftest import Events
from tests.contract.loopback import Behaviour, answer, serve
from tests.contract.test_twilio_send import SID, SMS, adapter, error
from tests.contract.twilio_expectations import BARE, STATUSES, by_code

EXPECTED = by_code()

NEXT = {
    # Class of the first text's outcome: what becomes of an alert, of a note, of an invite.
    Result.CHANNEL_FINAL: ("next step", "next step", "undeliverable"),
    Result.RECIPIENT_SUPPRESSED: ("next step", "next step", "suppressed"),
    Result.CONTENT_FINAL: ("next step", "next step", "undeliverable"),
    Result.SENDER_FAULT: ("other sender", "other sender", "other sender"),
    Result.CONFIGURATION_FAULT: ("next step", "parked", "parked"),
    Result.RETRYABLE: ("again later", "again later", "again later"),
    Result.OUTCOME_UNKNOWN: ("asked for", "asked for", "asked for"),
    Result.WARNING: ("awaited", "awaited", "awaited"),
    Result.ACCEPTED: ("awaited", "awaited", "awaited"),
}


def refused(code: str) -> Behaviour:
    if code in BARE:
        return answer(int(code), b"a page of somebody's")
    return error(STATUSES.get(code, 400), int(code))


def test_the_expectations_are_of_every_row_and_of_no_other() -> None:
    assert EXPECTED.keys() == table("twilio").keys()
    assert len(EXPECTED) == 314


async def test_every_row_as_the_answer_to_a_send() -> None:
    got = {}
    async with serve(refused("400")) as server, adapter(server) as twilio:
        for code in EXPECTED:
            server.then(refused(code))
            outcome = await twilio.send(SMS)
            got[code] = (outcome.result, outcome.code, outcome.detail)
    assert got == {
        code: (expected.refused, code, table("twilio")[code].name)
        for code, expected in EXPECTED.items()
    }


async def test_every_row_as_a_message_that_failed_at_once() -> None:
    got = {}
    async with serve(answer(201)) as server, adapter(server) as twilio:
        for code in EXPECTED:
            body = {"sid": SID, "status": "failed", "error_code": int(code)}
            server.then(answer(201, body))
            outcome = await twilio.send(SMS)
            got[code] = (outcome.result, outcome.code, outcome.provider_id)
    assert got == {code: (expected.failed, code, SID) for code, expected in EXPECTED.items()}


@pytest.mark.parametrize("status", ["failed", "undelivered"])
def test_every_row_as_a_receipt_of_a_failure(status: str) -> None:
    got = {code: classify_receipt(status, code) for code in EXPECTED}
    assert got == {code: expected.failed for code, expected in EXPECTED.items()}


@pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent", "delivered", "read"])
def test_every_row_beside_a_message_that_goes_on_is_a_warning(status: str) -> None:
    assert {classify_receipt(status, code) for code in EXPECTED} == {Result.WARNING}
    assert classify_receipt(status, None) is Result.ACCEPTED


def test_every_row_says_whose_fault_it_is_and_what_the_operator_gets() -> None:
    got = {code: (row.about, row.operator) for code, row in table("twilio").items()}
    assert got == {code: (one.about, one.operator) for code, one in EXPECTED.items()}
    assert all(row.remedy and row.name for row in table("twilio").values())


def test_a_fault_of_one_route_says_nothing_about_the_sender() -> None:
    routes = {code for code in EXPECTED if is_of_one_route(code)}
    assert routes == {"21612", "21657", "21703", "30040", "30041", "30620"}
    assert not is_of_one_route(None)
    assert not is_of_one_route("21999")


@pytest.mark.parametrize("status", [500, 502, 503, 408])
def test_no_fault_on_their_side_proves_that_nothing_was_sent(status: int) -> None:
    for code, expected in EXPECTED.items():
        result, wait = classify_rest(status, code, {"retry-after": "7"})
        assert result is not Result.RETRYABLE or code == "20429"
        if expected.refused is not Result.RETRYABLE and code not in BARE:
            warned = table("twilio")[code].result is Result.WARNING
            assert result is (Result.OUTCOME_UNKNOWN if warned else expected.refused)
        assert (wait is None) is (result is not Result.RETRYABLE)


def test_a_429_was_never_processed_whatever_its_code() -> None:
    for code in EXPECTED:
        assert classify_rest(429, code, {"retry-after": "7"}) == (Result.RETRYABLE, 7.0)


@pytest.mark.parametrize(
    ("status", "code", "result"),
    [
        (400, "30999", Result.OUTCOME_UNKNOWN),
        (400, "3099", Result.CONFIGURATION_FAULT),
        (400, "309999", Result.CONFIGURATION_FAULT),
        (400, "21999", Result.CONFIGURATION_FAULT),
        (400, "63999", Result.CONFIGURATION_FAULT),
        (405, None, Result.CONFIGURATION_FAULT),
        (500, "21999", Result.OUTCOME_UNKNOWN),
        (500, "30999", Result.OUTCOME_UNKNOWN),
    ],
)
async def test_codes_that_are_not_listed_have_a_policy_and_are_counted(
    status: int,
    code: str | None,
    result: Result,
    events: Events,
) -> None:
    behaviour = error(status, None if code is None else int(code))
    async with serve(behaviour) as server, adapter(server) as twilio:
        outcome = await twilio.send(SMS)
    assert (outcome.result, outcome.code, outcome.detail) == (result, code or str(status), None)
    assert events.wide[-1][1]["listed"] is False


@pytest.mark.parametrize(
    ("status", "code", "result"),
    [
        ("failed", "30999", Result.OUTCOME_UNKNOWN),
        ("undelivered", "30999", Result.OUTCOME_UNKNOWN),
        ("undelivered", "21999", Result.CONFIGURATION_FAULT),
        ("undelivered", "", Result.OUTCOME_UNKNOWN),
        ("undelivered", None, Result.OUTCOME_UNKNOWN),
        ("canceled", None, Result.RETRYABLE),
        ("canceled", "30999", Result.RETRYABLE),
        ("a status of tomorrow", "30999", Result.WARNING),
    ],
)
def test_receipts_that_are_not_listed_have_a_policy(
    status: str,
    code: str | None,
    result: Result,
) -> None:
    assert classify_receipt(status, code) is result


def moved(move: Move | Final) -> str:
    if isinstance(move, Final):
        return str(move.state)
    if move.parked:
        return "parked"
    if move.step:
        return "next step"
    if move.work is Work.SEND:
        return "again later" if move.delay_s else "other sender"
    return "asked for" if move.work is Work.RESOLVE else "awaited"


def test_each_class_has_its_next_step_for_an_alert_a_note_and_an_invite() -> None:
    assert set(NEXT) == set(Result)
    kinds = ("checkin.missed", "checkin.confirmed", "member.invited")
    for result, expected in NEXT.items():
        outcome = Outcome(result=result, provider="twilio", code="30000")
        got = (
            decide.after_call(
                plans.defaults()[kind],
                step=0,
                attempt=1,
                step_age_s=0.0,
                outcome=outcome,
                jitter=lambda: 0.5,
                another_sender=True,
            )
            for kind in kinds
        )
        assert tuple(map(moved, got)) == expected, result
