"""Asking Twilio for one message by its name, against a loopback server."""

from __future__ import annotations

import traceback

import pytest

from outbox.domain.messages import SentSms
from outbox.providers.twilio import LookupFailedError
from tests.contract.conftest import Events
from tests.contract.loopback import Behaviour, answer, hang_up, serve
from tests.contract.test_twilio_find import NOW, message
from tests.contract.test_twilio_send import ACCOUNT, SID, TO, adapter, error, problem


async def fetched(behaviour: Behaviour) -> SentSms | None:
    async with serve(behaviour) as server, adapter(server) as twilio:
        found = await twilio.fetch(SID)
        (request,) = server.requests
    assert (request.method, request.target) == (
        "GET",
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{SID}.json",
    )
    return found


async def test_a_message_is_told_with_its_status_and_code() -> None:
    found = await fetched(
        answer(200, message(1, "…", NOW, sid=SID, status="undelivered", error_code=30005)),
    )
    assert found == SentSms(provider_id=SID, status="undelivered", code="30005", created_at=NOW)


@pytest.mark.parametrize("behaviour", [error(404, 20404), problem(404, 20404)])
async def test_no_such_message_is_an_answer(behaviour: Behaviour) -> None:
    assert await fetched(behaviour) is None


@pytest.mark.parametrize(
    ("behaviour", "code", "retryable"),
    [
        (hang_up, "closed", True),
        (error(503, 20503), "20503", True),
        (error(429, 20429), "20429", True),
        (error(401, 20003), "20003", False),
        # Somebody else's 404: a proxy, or a wrong TWILIO_API_BASE.
        (answer(404, b"<html>"), "404", False),
        (error(404, None), "404", False),
        (error(404, 20003), "20003", False),
        # A code that contradicts its status proves nothing.
        (error(400, 20404), "20404", False),
        (answer(302, b"", Location="/"), "302", False),
        (answer(200, b"<html>"), "malformed_answer", True),
        (answer(200, {"messages": []}), "malformed_answer", True),
    ],
)
async def test_a_failed_look_up_is_never_an_absence(
    behaviour: Behaviour,
    code: str,
    retryable: bool,
    events: Events,
) -> None:
    with pytest.raises(LookupFailedError) as caught:
        await fetched(behaviour)
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    ((name, fields),) = events.wide
    assert (name, fields["code"]) == ("sms.fetch", code)
    assert TO[1:] not in "".join(traceback.format_exception(caught.value))
    assert TO[1:] not in events.text


async def test_retry_after_is_told() -> None:
    with pytest.raises(LookupFailedError) as caught:
        await fetched(error(429, 20429, Retry_After="3"))
    assert caught.value.retry_after_s == 3.0
