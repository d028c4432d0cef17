"""One contract of the adapters, in two worlds: raw servers and the simulators."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from outbox.domain.messages import AddressKind, Sms
from outbox.domain.outcomes import Result
from outbox.providers.fcm import FcmPush
from outbox.providers.twilio import LookupFailedError
from outbox.simulators.magic import number, token
from outbox.simulators.twilio_messages import SENDERS
from tests.contract.push_adapter import PUSH
from tests.contract.simulated import for_many
from tests.contract.test_twilio_send import SMS
from tests.contract.worlds import SLOW_S, Twilios, pushes, twilios

SERVICE = "MG" + "7" * 32


@pytest.fixture(scope="module", params=["raw", "simulated"])
def simulated(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str | None]:
    """Where the simulators are; null: a raw server takes their place."""
    if request.param == "raw":
        yield None
        return
    ledger = tmp_path_factory.mktemp("simulated") / "ledger.sqlite"
    with for_many(ledger, slow_s=SLOW_S) as url:
        yield url


@pytest.fixture
async def at(simulated: str | None, tmp_path: Path) -> AsyncIterator[Twilios]:
    async with twilios(simulated, tmp_path) as adapters:
        yield adapters


@pytest.fixture
async def fcm(
    simulated: str | None,
    tmp_path: Path,
    private_key: str,
) -> AsyncIterator[FcmPush]:
    async with pushes(simulated, tmp_path, private_key) as adapter:
        yield adapter


_people = itertools.count()


def text(outcome: str, **changes: str) -> Sms:
    """A text to somebody who had none before."""
    return msgspec.structs.replace(SMS, to=number(outcome, next(_people)), **changes)


def just_now() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("outcome", "result", "code", "wait_s"),
    [
        ("delivered", Result.ACCEPTED, None, None),
        ("undelivered_30005", Result.ACCEPTED, None, None),
        ("no_receipt", Result.ACCEPTED, None, None),
        ("invalid", Result.CHANNEL_FINAL, "21211", None),
        ("opted_out", Result.RECIPIENT_SUPPRESSED, "21610", None),
        ("landline", Result.CHANNEL_FINAL, "21614", None),
        ("region", Result.CHANNEL_FINAL, "21408", None),
        ("credentials", Result.CONFIGURATION_FAULT, "20003", None),
        ("throttled", Result.RETRYABLE, "20429", 2.0),
        ("broken", Result.OUTCOME_UNKNOWN, "20500", None),
        ("unavailable", Result.OUTCOME_UNKNOWN, "20503", None),
    ],
)
async def test_a_text(
    at: Twilios,
    outcome: str,
    result: Result,
    code: str | None,
    wait_s: float | None,
) -> None:
    got = await at.good.send(text(outcome))
    assert (got.result, got.code, got.retry_after_s) == (result, code, wait_s)
    assert (got.provider_id is not None) is (result is Result.ACCEPTED)


@pytest.mark.parametrize(("outcome", "code"), [("drop", "closed"), ("slow", "timeout")])
async def test_a_text_whose_answer_is_lost_is_there_when_it_is_asked_for(
    at: Twilios,
    outcome: str,
    code: str,
) -> None:
    sms = text(outcome)
    got = await at.good.send(sms)
    assert (got.result, got.code) == (Result.OUTCOME_UNKNOWN, code)
    (found,) = await at.good.find(to=sms.to, sent_since=just_now(), containing="K7Q2M9XA")
    assert await at.good.fetch(found.provider_id) is not None


async def test_a_text_that_was_taken_is_found_by_its_reference_and_by_its_name(
    at: Twilios,
) -> None:
    sms = text("delivered")
    await at.good.send(msgspec.structs.replace(sms, body="Another. Ref AAAA"))
    taken = await at.good.send(sms)
    assert taken.provider_id is not None
    to = sms.to
    (found,) = await at.good.find(to=to, sent_since=just_now(), containing="K7Q2M9XA")
    fetched = await at.good.fetch(taken.provider_id)
    assert fetched is not None
    assert found.provider_id == fetched.provider_id == taken.provider_id
    assert (found.code, found.created_at) == (None, fetched.created_at)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert not await at.good.find(to=to, sent_since=tomorrow, containing="K7Q2M9XA")


async def test_what_was_never_taken_is_not_there(at: Twilios) -> None:
    refused = text("landline")
    await at.good.send(refused)
    assert not await at.good.find(to=refused.to, sent_since=just_now(), containing="K7Q2M9XA")
    assert await at.good.fetch("SM" + "f" * 32) is None


async def test_another_sender_may_where_the_first_cannot(at: Twilios) -> None:
    refused = await at.good.send(text("unroutable", sender=at.first))
    assert (refused.result, refused.code) == (Result.SENDER_FAULT, "21612")
    taken = await at.good.send(text("unroutable", sender=SENDERS[1]))
    assert taken.result is Result.ACCEPTED


async def test_a_messaging_service_may_send(at: Twilios) -> None:
    assert (await at.good.send(text("delivered", sender=SERVICE))).result is Result.ACCEPTED


async def test_credentials_are_checked_and_no_absence_is_taken_from_wrong_ones(
    at: Twilios,
) -> None:
    assert (await at.good.check()).result is Result.ACCEPTED
    assert (await at.wrong.check()).result is Result.CONFIGURATION_FAULT
    assert (await at.wrong.send(text("delivered"))).code == "20003"
    with pytest.raises(LookupFailedError, match="20003"):
        await at.wrong.find(to=SMS.to, sent_since=just_now(), containing="K7Q2")
    with pytest.raises(LookupFailedError, match="20003"):
        await at.wrong.fetch("SM" + "0" * 32)


@pytest.mark.parametrize("kind", [AddressKind.TOKEN, AddressKind.FID])
@pytest.mark.parametrize(
    ("outcome", "result", "code", "wait_s"),
    [
        ("delivered", Result.ACCEPTED, None, None),
        ("silent", Result.ACCEPTED, None, None),
        ("malformed", Result.CHANNEL_FINAL, "INVALID_ADDRESS", None),
        ("unregistered", Result.CHANNEL_FINAL, "UNREGISTERED", None),
        ("mismatch", Result.CHANNEL_FINAL, "SENDER_ID_MISMATCH", None),
        ("quota", Result.RETRYABLE, "QUOTA_EXCEEDED", 2.0),
        ("unavailable", Result.RETRYABLE, "UNAVAILABLE", 10.0),
        ("internal", Result.RETRYABLE, "INTERNAL", 10.0),
        ("apns", Result.CONFIGURATION_FAULT, "THIRD_PARTY_AUTH_ERROR", None),
        ("wrongproject", Result.CONFIGURATION_FAULT, "404", None),
        ("drop", Result.OUTCOME_UNKNOWN, "closed", None),
    ],
)
async def test_a_push(  # noqa: PLR0917 - a column of the table each
    fcm: FcmPush,
    kind: AddressKind,
    outcome: str,
    result: Result,
    code: str | None,
    wait_s: float | None,
) -> None:
    push = msgspec.structs.replace(PUSH, address=token(outcome, 0), address_kind=kind)
    got = await fcm.send(push)
    assert (got.result, got.code, got.retry_after_s) == (result, code, wait_s)
    assert (got.provider_id is not None) is (result is Result.ACCEPTED)


async def test_a_push_whose_answer_is_late_is_unknown(fcm: FcmPush) -> None:
    got = await fcm.send(msgspec.structs.replace(PUSH, address=token("slow", 0)))
    assert (got.result, got.code) == (Result.OUTCOME_UNKNOWN, "timeout")


async def test_the_service_account_is_checked(fcm: FcmPush) -> None:
    assert (await fcm.check()).result is Result.ACCEPTED
