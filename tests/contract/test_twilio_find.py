"""Asking Twilio what it has, and whether its credentials are good, against a loopback server."""

from __future__ import annotations

import socket
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from outbox.domain.outcomes import Result
from outbox.providers.transport import PooledTransport
from outbox.providers.twilio import LookupFailedError, TwilioSms
from tests.contract.conftest import Events
from tests.contract.loopback import Behaviour, answer, hang_up, serve, silence
from tests.contract.test_twilio_send import ACCOUNT, TO, adapter, error, settings

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LIST = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"


def message(n: int, body: str, at: datetime | None, **more: object) -> dict[str, object]:
    return {
        "sid": f"SM{n:032}",
        "status": "delivered",
        "error_code": None,
        "body": body,
        "date_created": None if at is None else format_datetime(at),
        "to": TO,
        **more,
    }


def page(*messages: object, following: str | None = None) -> Behaviour:
    return answer(200, {"messages": messages, "next_page_uri": following, "page": 0})


async def look(*behaviours: Behaviour, containing: str = "K7Q2") -> list[str]:
    async with serve(*behaviours) as server, adapter(server) as twilio:
        found = await twilio.find(to=TO, sent_since=NOW, containing=containing)
    return [one.provider_id[-1] for one in found]


async def test_the_list_is_asked_by_number_alone() -> None:
    failed = message(1, "… Ref K7Q2", NOW, status="undelivered", error_code=30005)
    async with serve(page(failed)) as server, adapter(server) as twilio:
        (found,) = await twilio.find(to=TO, sent_since=NOW, containing="K7Q2")
        (request,) = server.requests
    assert (request.method, request.path) == ("GET", LIST)
    # A queued message has no DateSent yet: no filter by date.
    assert request.query == {"To": TO, "PageSize": "200"}
    assert (found.provider_id, found.status, found.code) == (f"SM{1:032}", "undelivered", "30005")
    assert found.created_at == NOW


async def test_only_texts_with_the_reference_and_not_older_ones_are_found() -> None:
    assert await look(
        page(
            message(1, "Ref K7Q2", NOW + timedelta(seconds=5)),
            message(2, "Ref XXXX", NOW),
            message(3, "Ref K7Q2", NOW - timedelta(seconds=2)),
            # Twilio's dates have whole seconds: this may have been made 0.9 s later.
            message(4, "Ref K7Q2", NOW - timedelta(seconds=1)),
            message(5, "Ref K7Q2\nReply STOP to end", NOW),
            message(6, "Ref K7Q2", None),
            message(7, "Ref K7Q2", NOW, date_created="Tue, 99 Nov 2026"),
            {**message(8, "", NOW), "body": None},
        ),
    ) == ["1", "4", "5", "6", "7"]


async def test_nothing_found_is_an_answer() -> None:
    assert await look(page()) == []


async def test_pages_are_followed_to_their_end() -> None:
    async with (
        serve(
            page(message(1, "K7Q2", NOW), following=f"{LIST}?Page=1&PageToken=PA1"),
            page(message(2, "K7Q2", NOW), following=f"{LIST}?Page=2&PageToken=PA2"),
            page(message(3, "K7Q2", NOW)),
        ) as server,
        adapter(server) as twilio,
    ):
        found = await twilio.find(to=TO, sent_since=NOW, containing="K7Q2")
        assert [request.query.get("PageToken") for request in server.requests] == [
            None,
            "PA1",
            "PA2",
        ]
        assert all("authorization" in request.headers for request in server.requests)
    assert len(found) == 3


async def test_pages_that_are_surely_older_are_not_asked_for() -> None:
    old = message(1, "K7Q2", NOW - timedelta(hours=25))
    still = message(2, "K7Q2", NOW - timedelta(hours=23))
    following = f"{LIST}?Page=1"
    async with serve(page(old, following=following)) as server, adapter(server) as twilio:
        assert await twilio.find(to=TO, sent_since=NOW, containing="K7Q2") == []
        assert len(server.requests) == 1
        server.then(page(old, still, following=following), page(message(3, "K7Q2", NOW)))
        assert len(await twilio.find(to=TO, sent_since=NOW, containing="K7Q2")) == 1


async def test_too_many_messages_are_no_proof_of_absence() -> None:
    endless = page(message(1, "other", NOW), following=f"{LIST}?Page=1")
    async with serve(endless) as server, adapter(server) as twilio:
        with pytest.raises(LookupFailedError, match="too_many_messages") as caught:
            await twilio.find(to=TO, sent_since=NOW, containing="K7Q2")
        assert len(server.requests) == 5
    assert not caught.value.retryable


async def test_a_page_that_names_another_host_is_not_followed_there() -> None:
    async with serve(page()) as other:
        body = {"messages": [], "meta": {"next_page_url": f"{other.url}/steal", "key": "messages"}}
        assert await look(answer(200, body)) == []
        assert other.requests == []


@pytest.mark.parametrize(
    ("behaviour", "code", "retryable"),
    [
        (hang_up, "closed", True),
        (error(503, 20503), "20503", True),
        (error(500, None), "500", True),
        (error(429, 20429), "20429", True),
        (error(401, 20003), "20003", False),
        (error(404, 20404), "20404", False),
        (answer(302, b""), "302", False),
        (answer(200, b"<html>"), "malformed_answer", True),
        (answer(200, {}), "malformed_answer", True),
        (answer(200, {"messages": [1]}), "malformed_answer", True),
        (answer(200, {"messages": [{"sid": None}]}), "malformed_answer", True),
    ],
)
async def test_a_failed_look_up_is_never_an_empty_answer(
    behaviour: Behaviour,
    code: str,
    retryable: bool,
    events: Events,
) -> None:
    with pytest.raises(LookupFailedError) as caught:
        await look(behaviour)
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    ((name, fields),) = events.wide
    assert (name, fields["code"]) == ("sms.find", code)
    # Not in its traceback either, which a bug's report would show.
    assert TO[1:] not in "".join(traceback.format_exception(caught.value))
    assert TO[1:] not in events.text


async def test_retry_after_of_the_list_is_told() -> None:
    with pytest.raises(LookupFailedError) as caught:
        await look(error(429, 20429, Retry_After="3"))
    assert caught.value.retry_after_s == 3.0


async def test_a_second_page_that_fails_fails_the_look_up() -> None:
    first = page(message(1, "K7Q2", NOW), following=f"{LIST}?Page=1")
    with pytest.raises(LookupFailedError, match="20500"):
        await look(first, error(500, 20500))


async def test_all_pages_together_have_the_total_timeout() -> None:
    first = page(message(1, "other", NOW), following=f"{LIST}?Page=1")
    started = time.monotonic()
    async with serve(first, silence) as server, adapter(server, total_timeout_s=0.5) as twilio:
        with pytest.raises(LookupFailedError, match="timeout"):
            await twilio.find(to=TO, sent_since=NOW, containing="K7Q2")
    assert time.monotonic() - started < 10.0


@pytest.mark.parametrize(
    ("behaviour", "result", "code"),
    [
        (answer(200, {"sid": ACCOUNT, "status": "active"}), Result.ACCEPTED, None),
        (answer(200, {"sid": ACCOUNT, "status": "suspended"}), Result.CONFIGURATION_FAULT, "20005"),
        (error(401, 20003), Result.CONFIGURATION_FAULT, "20003"),
        (error(503, 20503), Result.RETRYABLE, "20503"),
        (error(429, 20429), Result.RETRYABLE, "20429"),
        (hang_up, Result.RETRYABLE, "closed"),
        (answer(302, b""), Result.CONFIGURATION_FAULT, "302"),
        (answer(200, b"<html>"), Result.CONFIGURATION_FAULT, "malformed_answer"),
    ],
)
async def test_check(behaviour: Behaviour, result: Result, code: str | None) -> None:
    async with serve(behaviour) as server, adapter(server) as twilio:
        outcome = await twilio.check()
        (request,) = server.requests
    assert (request.method, request.path) == ("GET", f"/2010-04-01/Accounts/{ACCOUNT}.json")
    assert (outcome.result, outcome.code) == (result, code)


async def test_nobody_there_is_retryable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with PooledTransport(total_timeout_s=1.0) as transport:
            twilio = TwilioSms(settings(base), transport, callback="https://pruuf.example/")
            assert (await twilio.check()).result is Result.RETRYABLE
            with pytest.raises(LookupFailedError, match="connect"):
                await twilio.find(to=TO, sent_since=NOW, containing="K7Q2")
