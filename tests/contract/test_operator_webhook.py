"""The operator's webhook against a loopback server: it is called again rather than not at all."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

import msgspec
import pytest

from outbox.domain.messages import Page
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.operator import OperatorWebhook
from outbox.providers.transport import PooledTransport
from outbox.relay.ports import Pager
from tests.contract.conftest import Events
from tests.contract.loopback import Behaviour, answer, drip, hang_up, reset, serve, silence

PAGE = Page(
    notification_id="0192-n",
    event_id="0192-e",
    reason="no_contact_reached",
    summary="Missed check-in of m_1: none of 2 Contacts was reached.",
    occurred_at=datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
)


async def paged(behaviour: Behaviour, *, timeout_s: float = 5.0) -> Outcome:
    """The outcome of one page, which must have been one request."""
    async with (
        serve(behaviour) as server,
        PooledTransport(total_timeout_s=timeout_s) as transport,
    ):
        pager = OperatorWebhook(f"{server.url}/page?key=s3cret", transport)
        outcome = await pager.send(PAGE)
        assert len(server.requests) == 1
    return outcome


async def test_the_page_is_json_under_an_idempotency_key() -> None:
    async with serve(answer(204)) as server, PooledTransport() as transport:
        pager: Pager = OperatorWebhook(f"{server.url}/page?key=s3cret", transport)
        outcome = await pager.send(PAGE)
        again = await pager.send(PAGE)
        first, second = server.requests
    assert (first.method, first.target) == ("POST", "/page?key=s3cret")
    assert first.headers["content-type"] == "application/json"
    assert msgspec.json.decode(first.body) == {
        "notification_id": "0192-n",
        "event_id": "0192-e",
        "reason": "no_contact_reached",
        "summary": "Missed check-in of m_1: none of 2 Contacts was reached.",
        "occurred_at": "2026-11-24T09:00:00Z",
    }
    # A receiver can tell a repetition from a second emergency.
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "0192-n"
    assert (outcome.result, outcome.provider) == (Result.ACCEPTED, "operator")
    assert again.result is Result.ACCEPTED


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_success_is_one_whatever_it_says(status: int) -> None:
    assert (await paged(answer(status, b"<html>\xff"))).result is Result.ACCEPTED


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_passes_is_tried_again(status: int) -> None:
    outcome = await paged(answer(status, b"", Retry_After="17"))
    assert (outcome.result, outcome.code) == (Result.RETRYABLE, str(status))
    assert outcome.retry_after_s == 17.0


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 410, 413, 422])
async def test_what_does_not_pass_is_our_fault(status: int) -> None:
    outcome = await paged(answer(status, b"", Location="/", Retry_After="17"))
    assert (outcome.result, outcome.code) == (Result.CONFIGURATION_FAULT, str(status))
    assert outcome.retry_after_s is None


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [(hang_up, "closed"), (reset, "closed"), (silence, "timeout"), (drip, "timeout")],
)
async def test_a_lost_answer_is_retryable_and_never_unknown(
    behaviour: Behaviour,
    code: str,
) -> None:
    outcome = await paged(behaviour, timeout_s=0.6)
    assert (outcome.result, outcome.code) == (Result.RETRYABLE, code)


async def test_nobody_there_is_retryable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/page"
        async with PooledTransport(total_timeout_s=2.0) as transport:
            outcome = await OperatorWebhook(url, transport).send(PAGE)
    assert (outcome.result, outcome.code) == (Result.RETRYABLE, "connect")


async def test_a_check_connects_and_posts_nothing() -> None:
    async with serve(answer(204)) as server, PooledTransport() as transport:
        outcome = await OperatorWebhook(f"{server.url}/page?key=s3cret", transport).check()
        assert server.requests == []
    assert outcome.result is Result.ACCEPTED


async def test_a_check_of_nobody_says_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/page"
        async with PooledTransport() as transport:
            outcome = await OperatorWebhook(url, transport).check()
    assert (outcome.result, outcome.code) == (Result.RETRYABLE, "connect")


@pytest.mark.parametrize("behaviour", [answer(204), answer(403), hang_up])
async def test_each_page_is_one_event_without_the_address(
    behaviour: Behaviour,
    events: Events,
) -> None:
    await paged(behaviour)
    ((name, fields),) = events.wide
    assert name == "operator.page"
    assert {"provider", "result", "code", "provider_id", "latency_ms"} <= fields.keys()
    assert fields["notification_id"] == "0192-n"
    assert "s3cret" not in events.text
