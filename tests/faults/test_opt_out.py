"""Somebody texts STOP: the next alert goes by push, or a person hears of it; START restores."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from outbox.simulators import magic
from tests.faults.stack import Stack, number, wait_for
from tests.faults.traffic import Backend, backend, contact, event

_WITH_DEVICE, _WITHOUT, _OTHER = 1, 2, 3
_SECOND = 1.0
_BOUND_S = 5.0
"""For a loaded machine; what it took is printed, and is well under a second on one that is not."""


def _opted_out(stack: Stack) -> int:
    return int(stack.query("SELECT count(*) FROM suppression WHERE lifted_at IS NULL")[0][0])


def _when(stack: Stack, provider: str, text: str) -> float | None:
    """When a provider first accepted something with this text."""
    for entry in stack.entries(provider):
        if text in entry["text"]:
            return datetime.fromisoformat(entry["accepted_at"]).timestamp()
    return None


def _arrived(stack: Stack, provider: str, text: str) -> float:
    wait_for(
        lambda: _when(stack, provider, text) is not None,
        within_s=30,
        what=f"{text} at {provider}",
    )
    at = _when(stack, provider, text)
    assert at is not None
    return at


async def _alert(caller: Backend, n: int, hour: int) -> float:
    """Miss a check-in; when that was posted."""
    began = time.time()
    await caller.post(event("checkin.missed", n, contact(n, number(n)), hour=hour))
    return began


async def _play(stack: Stack) -> dict[str, float]:
    took: dict[str, float] = {}
    async with backend(stack) as caller:
        await caller.devices([(f"c{_WITH_DEVICE}", magic.token("delivered", 1))])
        await caller.post(
            event("checkin.confirmed", 1, contact(_WITH_DEVICE, number(_WITH_DEVICE)))
        )
        both = [contact(_WITHOUT, number(_WITHOUT)), contact(_OTHER, number(_OTHER))]
        await caller.post(event("checkin.confirmed", 2, *both))
        await asyncio.to_thread(stack.wait_until_final, within_s=60)

        began = time.time()
        await asyncio.to_thread(stack.text_us, number(_WITH_DEVICE), "STOP")
        await asyncio.to_thread(stack.text_us, number(_WITHOUT), "Stop")
        paged = await asyncio.to_thread(_arrived, stack, "operator", "cannot be alerted")
        told = await asyncio.to_thread(_arrived, stack, "twilio", "stopped our texts")
        took["STOP without a device → operator"] = paged - began
        took["STOP without a device → other Contact"] = told - began
        wait_for(lambda: _opted_out(stack) == 2, within_s=30, what="both opt-outs")
        # Known to every relay within a second.
        await asyncio.sleep(2.0)

        began = await _alert(caller, _WITH_DEVICE, 9)
        took["alert → push"] = await asyncio.to_thread(_arrived, stack, "fcm", "Alice") - began
        began = await _alert(caller, _WITHOUT, 9)
        page = await asyncio.to_thread(_arrived, stack, "operator", "none of 1 Contact")
        took["alert without a device → operator"] = page - began

        texts = len(stack.entries("twilio"))
        await asyncio.to_thread(stack.text_us, number(_WITHOUT), "START")
        wait_for(lambda: _opted_out(stack) == 1, within_s=30, what="the end of an opt-out")
        await asyncio.sleep(2.0)
        await caller.post(event("checkin.confirmed", _WITHOUT, hour=10))
        began = await _alert(caller, _WITHOUT, 11)
        wait_for(
            lambda: len(stack.entries("twilio")) > texts, within_s=30, what="a text after START"
        )
        newest = stack.entries("twilio")[-1]
        assert newest["to"] == number(_WITHOUT)
        accepted_at = datetime.fromisoformat(newest["accepted_at"]).timestamp()
        took["alert after START → text"] = accepted_at - began
    return took


def test_stop_and_start(stack: Stack) -> None:
    """With a device, without one, and back."""
    stack.start_edge()
    for name in ("relay-a", "relay-b"):
        stack.start_relay(name)
    took = asyncio.run(_play(stack))
    print("\n" + ", ".join(f"{what} {seconds * 1000:.0f} ms" for what, seconds in took.items()))
    assert all(-0.1 <= seconds < _BOUND_S for seconds in took.values())
    refused = stack.stats()["refused"].get("twilio", {})
    assert refused.get("21610", 0) == 0, "Twilio had to refuse what we knew of"
    assert min(took.values()) < _SECOND
