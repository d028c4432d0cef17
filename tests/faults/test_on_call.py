"""Each fault calls somebody once; page *Now* names it, and its runbook leads out of it.

Every night begins in peace and ends so: an hour after the fault nothing more may have been told.
"""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
import urllib.request
from typing import Any

import pytest

from outbox.simulators.twilio_messages import SENDERS
from tests.faults.night import Night, night
from tests.faults.on_call import Guide, now_says
from tests.faults.report import Report
from tests.faults.stack import Stack

_TICK_S = 720
"""Shorter than canaries may be away."""


async def _names(made: Night, told: str, headline: str = "") -> None:
    """Page *Now* says what the pager said, and nothing else that wakes somebody."""
    headline, runbook = headline or told.partition(". ")[0], told.rpartition("runbooks/")[2]
    shown = await asyncio.to_thread(now_says, made.stack)
    (said,) = [each for each in shown if each.tone == "bad"]
    assert said.text.startswith(headline), shown
    assert f"/runbooks?page={runbook}" in said.links, shown


async def _goes_on(made: Night, told: str, *, minutes: int = 24, tick_s: int = _TICK_S) -> None:
    """However long it goes on, nobody is called a second time."""
    await made.pass_(minutes, tick_s=tick_s)
    assert made.pages() == [told]


async def _is_over(made: Night, told: str, *, erodes: str = "") -> None:
    """Its end is told, and then nothing more; ``erodes``: a ticket that follows, for the day."""
    await made.pass_(72, tick_s=_TICK_S)
    assert made.telling() <= {erodes}
    first, *rest = made.pages()
    assert first == told
    headline = told.partition(". ")[0]
    assert [page.partition(": ")[2] for page in rest] == [f"{headline}."]


@pytest.mark.long
async def test_carriers_filter_the_texts_of_a_sender(forked: Stack) -> None:
    async with night(forked) as made:
        forked.faults(provider="twilio", outcome="undelivered_30007", sender=SENDERS[0])
        made.traffic = 3
        await made.miss(2)
        told = await made.paged("SmsDeliveryBurning")
        await _names(made, told)
        await _goes_on(made, told)
        guide = Guide(
            forked,
            "sms-delivery.md",
            {"ANOTHER_SENDER": SENDERS[1], "FIRST_SENDER": SENDERS[0]},
        )
        assert "(0, 'undelivered', '30007'" in await asyncio.to_thread(guide.see)
        made.processes["relay"].terminate()
        await asyncio.to_thread(guide.do)
        made.traffic = 1
        await _is_over(made, told, erodes="SmsDeliveryEroding")
        await asyncio.to_thread(guide.is_over)


async def test_twilio_is_down(forked: Stack) -> None:
    async with night(forked) as made:
        forked.faults(provider="twilio", status=503)
        made.restless = True
        await made.miss(12)
        await made.until(lambda: made.finds("breaker_vote"), what="the relay stops calling")
        told = await made.paged("ProviderDown/twilio")
        await _names(made, told)
        guide = Guide(forked, "provider-down.md")
        assert "503" in await asyncio.to_thread(guide.see)
        await _goes_on(made, told)
        await asyncio.to_thread(guide.do)
        # Theirs: the page says to wait.
        forked.calm()
        await made.until_gone("ProviderDown/twilio")
        made.restless = False
        await asyncio.to_thread(guide.is_over)
        await _is_over(made, told, erodes="SmsDeliveryEroding")


async def test_fcm_refuses_the_service_account(forked: Stack) -> None:
    async with night(forked) as made:
        forked.faults(provider="fcm", status=401)
        await made.confirm(3, outcome="landline")
        await made.until(lambda: bool(made.pages()), what="a relay calls somebody")
        await made.tick()
        (told,) = made.pages()
        assert made.telling() == {"ConfigurationFault/fcm"}
        await _names(made, told, "A provider refuses us for our configuration (fcm)")
        await _goes_on(made, told)
        guide = Guide(forked, "configuration-fault.md")
        assert "the access token is refused (FCM 401)" in await asyncio.to_thread(guide.see)
        # Somebody gives the account its rights again.
        forked.calm()
        made.processes["relay"].terminate()
        await asyncio.to_thread(guide.do)
        await made.pass_(2)
        await asyncio.to_thread(guide.is_over)
        await made.pass_(72, tick_s=_TICK_S)
        assert made.telling() <= {"PushDeliveryEroding"}
        assert made.pages() == [told]


@pytest.mark.long
async def test_the_secret_of_the_webhooks_is_wrong(forked: Stack) -> None:
    async with night(forked) as made:
        right = forked.environ["TWILIO_AUTH_TOKEN"]
        made.processes["gateway"].terminate()
        made.processes["gateway"].wait(30)
        forked.environ["TWILIO_AUTH_TOKEN"] = "another-token"
        made.processes["gateway"] = await asyncio.to_thread(forked.start_gateway)
        made.unheard = True
        made.traffic = 4
        await made.miss(4)
        await made.until(
            lambda: made.finds("rollup_minute WHERE outcome = 'forged' HAVING sum(n) > 5"),
            what="the gateway counts what it refuses",
        )
        told = await made.paged("ForgedCallbacks/twilio")
        await _names(made, told)
        # In time for the questions to Twilio, which stand in for its callbacks.
        await _goes_on(made, told, minutes=12, tick_s=60)
        guide = Guide(forked, "forged-callbacks.md")
        assert "'twilio', " in await asyncio.to_thread(guide.see)
        made.processes["gateway"].terminate()
        made.processes["gateway"].wait(30)
        # As the page says: the new one first, the old one behind it.
        forked.environ["TWILIO_AUTH_TOKEN"] = f"{right},another-token"
        await asyncio.to_thread(guide.do)
        made.unheard = False
        made.traffic = 1
        await _is_over(made, told)
        await asyncio.to_thread(guide.is_over)


async def test_the_relay_is_dead(forked: Stack) -> None:
    async with night(forked) as made:
        made.processes["relay"].kill()
        made.dead.add("relay")
        made.traffic = 0
        told = await made.paged("RelayDead")
        await made.miss(2)
        await _names(made, told)
        guide = Guide(forked, "relay-dead.md")
        await asyncio.to_thread(guide.see)
        await asyncio.to_thread(guide.do)
        made.dead.clear()
        made.traffic = 1
        await _is_over(made, told)
        await asyncio.to_thread(guide.is_over)


@pytest.mark.long
async def test_an_alert_that_waited_for_a_relay_is_told_by_itself(forked: Stack) -> None:
    """That somebody is not told, and then that they were told too late, is never hidden."""
    async with night(forked) as made:
        made.processes["relay"].kill()
        made.dead.add("relay")
        await made.miss(1)
        made.traffic = 0
        told = await made.paged("RelayDead")
        await made.pass_(36, tick_s=_TICK_S)
        assert made.telling() == {"RelayDead", "SafetyUnresolved"}
        assert "SafetyLaneStuck/safety" in made.firing()
        await asyncio.to_thread(Guide(forked, "relay-dead.md").do)
        made.dead.clear()
        made.traffic = 1
        await made.pass_(3)
        first, unresolved, *rest = made.pages()
        assert first == told
        assert unresolved.startswith("An alert is not resolved.")
        # However long ago that was by then.
        late = "A missed check-in reached nobody in time. 1 unreached"
        assert sum(page.startswith(late) for page in rest) == 1, rest
        assert sum(page.startswith("Resolved after") for page in rest) == 2, rest


@pytest.mark.long
async def test_the_database_is_slow(forked: Stack) -> None:
    async with night(forked) as made:
        report = Report(forked.database_url)
        report.start()
        made.traffic = 0
        await made.miss(6)
        told = await made.paged("DatabaseSlow", tick_s=60)
        await _names(made, told)
        guide = Guide(forked, "database-slow.md")
        waited_for: set[str] = set()

        def somebody_waits() -> bool:
            waited_for.update(re.findall(r"\[(\d+)\]", guide.see()))
            return bool(waited_for)

        # Now and then the report lets others in.
        await made.until(
            somebody_waits,
            what="somebody is seen to wait for the report",
        )
        (pid,) = waited_for
        await asyncio.to_thread(Guide(forked, "database-slow.md", {"PID": pid}).do)
        await asyncio.to_thread(report.join, 30)
        assert not report.is_alive()
        made.traffic = 1
        # The alerts that were called late are in the figures of the day.
        await _is_over(made, told, erodes="FirstCallEroding")


def _stripe(stack: Stack, path: str, **form: str) -> dict[str, Any]:
    """What somebody does in Stripe's dashboard."""
    request = urllib.request.Request(
        f"{stack.simulators}/v1/{path}",
        data=urllib.parse.urlencode(form).encode() if form else None,
        headers={"Authorization": f"Bearer {stack.environ['STRIPE_API_KEY']}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.long
async def test_stripes_books_and_ours_differ(forked: Stack) -> None:
    async with night(forked) as made:
        await made.caller.post(
            {
                "specversion": "1.0",
                "id": "opened-1",
                "source": "traffic",
                "type": "billing.account_opened",
                "subject": "c_1",
                "data": {"account": {"id": "c_1", "email": "c_1@example.com", "role": "contact"}},
            }
        )
        await made.until(
            lambda: len(_stripe(forked, "subscriptions")["data"]) == 1, what="a subscription"
        )
        await made.pass_(2)
        (first,) = _stripe(forked, "subscriptions")["data"]
        second = {
            "customer": first["customer"],
            "items[0][price]": forked.environ["STRIPE_PRICE_ID"],
            "trial_period_days": "30",
            "metadata[pruuf_account]": "c_1",
        }
        await asyncio.to_thread(lambda: _stripe(forked, "subscriptions", **second))
        # The schedule compares the books every six hours.
        await made.tick(6 * 3600)
        await made.until(
            lambda: made.finds("billing_finding WHERE source = 'stripe'"),
            what="the difference is found",
        )
        told = await made.paged("BillingBad")
        await _names(made, told)
        await _goes_on(made, told)
        guide = Guide(forked, "billing-error.md")
        assert "'drift', 'stripe', 'second_subscription'" in await asyncio.to_thread(guide.see)
        await asyncio.to_thread(guide.do)
        await made.pass_(2)
        await asyncio.to_thread(Guide(forked, "billing-drift.md").is_over)
        await _is_over(made, told)
