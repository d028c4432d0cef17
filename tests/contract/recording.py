"""Records the cassettes: what the adapters ask, and what was answered, without any secret.

``python -m tests.contract.recording`` records from the simulators, with ``--sandbox`` from the
accounts of the environment; ``cassettes/README.md`` says what they prove.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec

from outbox.domain.messages import SentSms, Sms
from outbox.domain.outcomes import Outcome
from outbox.providers.fcm import FcmPush
from outbox.providers.twilio import TwilioSms
from outbox.settings import Settings, StripeSettings, load
from outbox.simulators.environment import environment
from outbox.simulators.magic import TESTING, token
from outbox.simulators.twilio_messages import SENDERS
from tests.contract.push_adapter import NOW, PUSH
from tests.contract.simulated import client, in_a_thread
from tests.contract.stripe_plays import (
    Play,
    Strike,
    commands,
    names_of,
    prepare,
    reads,
    refusals,
    struck,
)
from tests.contract.tape import Carrier, carrier, tape
from tests.contract.test_twilio_send import SMS

CALLBACK = "https://pruuf.example/webhooks/twilio/status"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = msgspec.structs.replace(SMS, sender=SENDERS[0])

_STRIPE_KEYS = ("sk_test_", "rk_test_")
_SEARCH_LAGS_S = 90.0


async def texts(twilio: TwilioSms) -> list[Outcome]:
    """A text that is taken, and one to each number that test credentials refuse."""
    refused = [msgspec.structs.replace(TEXT, to=number) for number in TESTING]
    full: Sms = msgspec.structs.replace(TEXT, sender="+15005550008")
    return [await twilio.send(sms) for sms in (TEXT, *refused, full)]


async def looks(twilio: TwilioSms) -> list[SentSms | None]:
    """A text found by its reference, the same by its name, and one that is not there."""
    found = await twilio.find(to=TEXT.to, sent_since=LONG_AGO, containing="K7Q2M9XA")
    same = await twilio.fetch(found[0].provider_id)
    return [*found, same, await twilio.fetch("SM" + "0" * 32)]


async def pushes(fcm: FcmPush) -> list[Outcome]:
    """A dry run, and a push to what is no token at all."""
    malformed = msgspec.structs.replace(PUSH, address=token("malformed", 0))
    return [await fcm.check(), await fcm.send(malformed)]


def twilio_of(settings: Settings, http: Carrier) -> TwilioSms:
    return TwilioSms(settings.require_twilio(), http, callback=CALLBACK)


def fcm_of(settings: Settings, http: Carrier) -> FcmPush:
    return FcmPush(settings.require_fcm(), http, now=lambda: NOW)


def stripe_of(settings: Settings, http: Carrier) -> Play:
    return Play(in_test_mode(settings), http)


def in_test_mode(settings: Settings) -> StripeSettings:
    """Stripe's settings; stops unless the key is of test mode: recording charges cards."""
    found = settings.stripe
    if found is None:
        msg = "STRIPE_API_KEY, STRIPE_PRICE_ID and STRIPE_WEBHOOK_SECRETS are not set"
        raise SystemExit(msg)
    if not found.api_key.startswith(_STRIPE_KEYS):
        msg = f"STRIPE_API_KEY is a live key; one for tests begins with {_STRIPE_KEYS[0]}"
        raise SystemExit(msg)
    return found


async def _record(settings: Settings, strike: Strike | None) -> None:
    """Record all; ``strike`` reaches the simulator, and is null for a sandbox."""
    stripe, sandbox = in_test_mode(settings), strike is None
    patience_s = 2.0 if sandbox else 0.01
    made = await asyncio.to_thread(prepare, stripe, patience_s=patience_s)
    lag_s = _SEARCH_LAGS_S if sandbox else 0.0
    plays: dict[str, Callable[[Carrier], Awaitable[object]]] = {
        "twilio_send.yaml": lambda http: texts(twilio_of(settings, http)),
        "fcm_send.yaml": lambda http: pushes(fcm_of(settings, http)),
        "stripe_commands.yaml": lambda http: commands(stripe_of(settings, http), made),
        "stripe_reads.yaml": lambda http: reads(stripe_of(settings, http), made, patience_s=lag_s),
        "stripe_refusals.yaml": lambda http: refusals(stripe_of(settings, http)),
    }
    if strike is not None:
        # Test credentials have no messages that could be looked up, and no faults on demand.
        plays["twilio_look.yaml"] = lambda http: looks(twilio_of(settings, http))
        plays["stripe_struck.yaml"] = lambda http: struck(stripe_of(settings, http), strike)
    names = names_of(stripe, made)
    for name, play in plays.items():
        async with carrier() as http, tape(name, record=True, names=names) as cassette:
            await play(http)
            sys.stdout.write(f"{name}: {len(cassette)} requests\n")


async def _record_from_simulators() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with in_a_thread(Path(folder) / "ledger.sqlite") as url, client(url) as http:

            async def strike(fault: Mapping[str, Any] | None) -> None:
                await _control(http, fault)

            # The callbacks' address is nobody's.
            await strike({"provider": "twilio", "callbacks": {"lose": 1}})
            values = environment(base_url=url, folder=Path(folder))
            await _record(load(values, cwd=Path(folder)), strike)


async def _control(http: httpx.AsyncClient, fault: Mapping[str, Any] | None) -> None:
    asked = {"provider": "stripe", "rate": 0} if fault is None else fault
    (await http.post("/_sim/faults", json=asked)).raise_for_status()


def main() -> None:
    """Record all cassettes anew."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.recording")
    parser.add_argument("--sandbox", action="store_true", help="from the environment's accounts")
    if parser.parse_args().sandbox:
        asyncio.run(_record(load(), None))
    else:
        asyncio.run(_record_from_simulators())


if __name__ == "__main__":
    main()
