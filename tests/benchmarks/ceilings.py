"""What a relay is made of, each part alone: the HTTP client, the adapter over it, the statements.

Run as a process, like the relay: ``client``, ``adapter`` or ``statements``. Prints one line of
JSON on stdout; logs go to stderr, as the relay's do.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec
import uvloop

from observability import logs
from outbox.domain import decide, plans
from outbox.domain.messages import Sms
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.transport import PooledTransport
from outbox.providers.twilio import TwilioSms
from outbox.relay.clock import LEASE_S
from outbox.settings import Settings, load
from outbox.simulators.twilio_messages import PREFIX
from outbox.store.claims import Claim, claim, peek
from outbox.store.connect import Role, connect
from outbox.store.settle import Attempt, Settlement, settle

_TEXT = "Alice Example is OK: checked in at 3:30 AM (Mon). Pruuf 7K2M9Q"
_REFERENCE = "r" * 96
_LANES = (0, 1, 2, 3)
_SETTLED_AT_ONCE = 256

Send = Callable[[], Awaitable[None]]


class NotAcceptedError(Exception):
    """The sink did not take a text."""


def _sms(settings: Settings) -> Sms:
    sender = settings.require_twilio().senders[0]
    return Sms(
        to="+19980000001",
        sender=sender,
        body=_TEXT,
        reference=_REFERENCE,
        validity_s=36_000,
    )


def _by_client(settings: Settings, transport: PooledTransport) -> Send:
    """The same bytes as the adapter sends, and nothing else."""
    sms, callback = _sms(settings), f"{settings.public_url}/webhooks/twilio/status"
    url = f"{settings.require_twilio().api_base}{PREFIX}/Messages.json"
    headers = {
        "Authorization": "Basic " + "QUM1" * 24,
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
        "User-Agent": "twilio-python/9.13.0 (Linux x86_64) Python/3.11",
        "Accept-Charset": "utf-8",
        "X-Twilio-Client": "python-9.13.0",
    }
    body = urlencode(
        {
            "To": sms.to,
            "From": sms.sender,
            "Body": sms.body,
            "StatusCallback": f"{callback}?ref={sms.reference}#rc=5&rp=all",
            "ValidityPeriod": sms.validity_s,
            "SmartEncoded": "true",
        },
    ).encode()

    async def send() -> None:
        answer = await transport.request("POST", url, headers=headers, body=body)
        if answer.status != 201:
            raise NotAcceptedError(answer.status)

    return send


def _by_adapter(settings: Settings, transport: PooledTransport) -> Send:
    """The SDK, its mapping and the wide event of each call."""
    callback = f"{settings.public_url}/webhooks/twilio/status"
    twilio = TwilioSms(settings.require_twilio(), transport, callback=callback)
    sms = _sms(settings)

    async def send() -> None:
        outcome = await twilio.send(sms)
        if outcome.result is not Result.ACCEPTED:
            raise NotAcceptedError(outcome.result, outcome.code)

    return send


async def calls(settings: Settings, what: str, *, seconds: float, in_flight: int) -> float:
    """Sends a second, with as many in flight as a relay has."""
    done = 0
    async with PooledTransport() as transport:
        make = _by_client if what == "client" else _by_adapter
        send = make(settings, transport)
        started = time.perf_counter()

        async def keep_sending() -> None:
            nonlocal done
            while time.perf_counter() - started < seconds:
                await send()
                done += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(in_flight):
                group.create_task(keep_sending())
        return done / (time.perf_counter() - started)


def _settled(claimed: Claim) -> Settlement:
    """As if the provider had taken it at once."""
    outcome = Outcome(result=Result.ACCEPTED, provider="twilio", provider_id="SM" + "0" * 32)
    move = decide.after_call(
        plans.decode(claimed.plan),
        step=claimed.step,
        attempt=claimed.attempt,
        step_age_s=claimed.step_age_s,
        outcome=outcome,
        jitter=random.random,
    )
    attempt = Attempt(channel="sms", outcome=outcome, at=datetime.now(UTC), sender=0)
    return Settlement(claim=claimed, move=move, attempts=(attempt,))


async def statements(settings: Settings, *, in_flight: int) -> float:
    """Notifications a second that are claimed and settled, over the relay's two connections."""
    url = settings.require_database()
    claiming, settling = [
        await connect(url, Role.RELAY, application=f"bench {part}") for part in ("claim", "settle")
    ]
    handed: asyncio.Queue[list[Claim]] = asyncio.Queue(maxsize=1)
    done = 0
    started = time.perf_counter()

    async def claim_all() -> None:
        while queues := await peek(claiming, _LANES):
            share = max(1, in_flight // len(queues))
            wanted = [(queue, share) for queue in queues]
            await handed.put(await claim(claiming, wanted, lease_s=LEASE_S))
        await handed.put([])

    async def settle_all() -> None:
        nonlocal done
        while claims := await handed.get():
            for first in range(0, len(claims), _SETTLED_AT_ONCE):
                some = claims[first : first + _SETTLED_AT_ONCE]
                await settle(settling, [_settled(each) for each in some])
                done += len(some)

    async with claiming, settling, asyncio.TaskGroup() as group:
        group.create_task(claim_all())
        group.create_task(settle_all())
    return done / (time.perf_counter() - started)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["client", "adapter", "statements"])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--in-flight", type=int, required=True)
    given = parser.parse_args(arguments)
    logs.configure()
    settings = load()
    if given.what == "statements":
        run = statements(settings, in_flight=given.in_flight)
    else:
        run = calls(settings, given.what, seconds=given.seconds, in_flight=given.in_flight)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rate = runner.run(run)
    print(msgspec.json.encode({"per_s": rate}).decode())


if __name__ == "__main__":
    main()
