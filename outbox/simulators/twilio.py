"""Twilio's Messages API: create, list, fetch, cancel, with its shapes, codes and callbacks.

A message's state is what its ledger entry and the clock say, so it is the same after a restart;
callbacks that had not gone out are then lost, and so is which flaky number was refused how often.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from outbox.simulators import callbacks as making
from outbox.simulators import magic, twilio_messages
from outbox.simulators.asgi import Reply, Request, json_reply
from outbox.simulators.callbacks import Callbacks
from outbox.simulators.credentials import Credentials
from outbox.simulators.faults import Faults
from outbox.simulators.ledger import Entry, Ledger
from outbox.simulators.ledger_reads import LedgerReads
from outbox.simulators.opt_outs import OptOuts
from outbox.simulators.outcomes import Delays, Outcome
from outbox.simulators.twilio_list import list_reply
from outbox.simulators.twilio_messages import ACCOUNT_SID, PREFIX, SENDERS
from outbox.simulators.twilio_refusals import failure, refusal, send_at

_EARLY_WITHIN_S = 5.0
_NOT_FOUND = (404, 20404, "The requested resource was not found")
_UNAVAILABLE = (503, 20503, "Simulated fault")


class Twilio:
    """One simulated account."""

    def __init__(  # noqa: PLR0913 - the parts of a simulation
        self,
        *,
        ledger: Ledger,
        reads: LedgerReads,
        callbacks: Callbacks,
        faults: Faults,
        delays: Delays,
        opt_outs: OptOuts,
        credentials: Credentials,
    ) -> None:
        """``faults`` are asked for outcomes and callbacks; the calls are struck before."""
        self._ledger = ledger
        self._reads = reads
        self._callbacks = callbacks
        self._faults = faults
        self._delays = delays
        self._opt_outs = opt_outs
        self._credentials = credentials
        self._refused: Counter[str] = Counter()

    async def handle(self, request: Request) -> Reply:  # noqa: PLR0911 - one per route
        """Answer a request below ``/2010-04-01/``."""
        if not self._credentials.twilio_takes(request.header(b"authorization")):
            return failure(401, 20003, "Authenticate")
        if not request.path.startswith(PREFIX):
            return failure(*_NOT_FOUND)
        path, method = request.path[len(PREFIX) :], request.method
        if path == "/Messages.json" and method in {"GET", "POST"}:
            return await self._create(request) if method == "POST" else self._list(request)
        if path.startswith("/Messages/") and path.endswith(".json") and method in {"GET", "POST"}:
            sid = path.removeprefix("/Messages/").removesuffix(".json")
            return await self._update(sid, request) if method == "POST" else self._fetch(sid)
        if path == ".json" and method == "GET":
            return _account()
        if path in {"/Messages.json", ".json"}:
            return failure(405, 20004, "Method not allowed")
        return failure(*_NOT_FOUND)

    async def _create(self, request: Request) -> Reply:
        form, now = request.form(), time.time()
        wrong = refusal(form, now)
        if wrong is not None:
            return failure(400, *wrong)
        if form["To"] in self._opt_outs:
            return failure(400, 21610, "Attempt to send to an unsubscribed recipient")
        outcome = magic.of_number(form["To"], first_sender=form.get("From") == SENDERS[0])
        if outcome.name == magic.DELIVERED.name:
            outcome = self._faults.outcome(form.get("From", "")) or outcome
        if outcome.refuses(self._refused, form["To"]):
            code = outcome.code if isinstance(outcome.code, int) else outcome.status
            return failure(outcome.status, code, outcome.what, retry_after=outcome.retry_after)
        entry = self._entry(form, outcome, now)
        await self._ledger.append(entry)
        if entry.callback:
            await self._tell(entry, outcome, now)
        if outcome.slow:
            await asyncio.sleep(self._delays.slow_s)
        reply = json_reply(
            201,
            twilio_messages.resource(entry, twilio_messages.first_status(entry)),
        )
        reply.accepted, reply.drop = entry.id, outcome.drop
        return reply

    def _entry(self, form: Mapping[str, str], outcome: Outcome, now: float) -> Entry:
        callback = form.get("StatusCallback", "")
        due_at = send_at(form)
        timeline = twilio_messages.timeline(
            outcome,
            now if due_at is None else due_at,
            sent_s=self._delays.sent_s,
            final_s=self._delays.final_s,
        )
        return Entry(
            provider="twilio",
            id="SM" + os.urandom(16).hex(),
            to=form["To"],
            text=form["Body"],
            reference=_reference(callback),
            outcome=outcome.name,
            accepted_at=now,
            sender=form.get("From") or SENDERS[0],
            service=form.get("MessagingServiceSid", ""),
            callback=callback,
            due_at=due_at,
            sent_at=next((at for at, status, _ in timeline if status == "sent"), None),
            timeline=timeline,
        )

    async def _tell(self, entry: Entry, outcome: Outcome, now: float) -> None:
        """Make the callbacks later, or, for an early outcome, at once and one after the other."""
        steps = list(entry.timeline)
        if outcome.shuffled:
            times = [at for at, _, _ in steps]
            turned = zip(times, reversed(steps), strict=True)
            steps = [(at, status, code) for at, (_, status, code) in turned] * 2
        for at, status, code in steps:
            fields = twilio_messages.callback_fields(entry, status, code, at)
            for delay in self._faults.callback_delays("twilio"):
                callback = making.twilio(
                    entry.callback, fields, self._credentials.primary, message=entry.id
                )
                if outcome.early:
                    callback.done = asyncio.Event()
                    self._callbacks.make(callback, after_s=0.0)
                    await _done(callback.done)
                else:
                    self._callbacks.make(callback, after_s=at - now + delay)

    async def _update(self, sid: str, request: Request) -> Reply:
        found, now = self._reads.find("twilio", sid), time.time()
        if found is None:
            return failure(*_NOT_FOUND)
        if request.form().get("Status") != "canceled":
            return failure(400, 30400, "The only update is 'Status' to 'canceled'.")
        entry = found.entry
        if twilio_messages.state(found, now)[0] != "scheduled":
            return failure(400, 30409, "This message cannot be canceled: it is not scheduled.")
        await self._ledger.cancel(sid, now)
        self._callbacks.withdraw(sid)
        if entry.callback:
            fields = twilio_messages.callback_fields(entry, "canceled", None, now)
            callback = making.twilio(entry.callback, fields, self._credentials.primary, message="")
            self._callbacks.make(callback, after_s=self._delays.sent_s)
        return json_reply(200, twilio_messages.resource(entry, "canceled", None, now))

    def _list(self, request: Request) -> Reply:
        if self._faults.list_fails():
            return failure(*_UNAVAILABLE)
        lag_s = self._faults.lists().lag_ms / 1000
        return list_reply(self._reads, request.query(), time.time(), lag_s)

    def _fetch(self, sid: str) -> Reply:
        if self._faults.list_fails():
            return failure(*_UNAVAILABLE)
        found, now = self._reads.find("twilio", sid), time.time()
        lag_s = self._faults.lists().lag_ms / 1000
        if found is None or found.entry.accepted_at > now - lag_s:
            return failure(*_NOT_FOUND)
        state = twilio_messages.state(found, now)
        return json_reply(200, twilio_messages.resource(found.entry, *state))


def _account() -> Reply:
    return json_reply(
        200,
        {
            "sid": ACCOUNT_SID,
            "friendly_name": "Simulated account",
            "status": "active",
            "type": "Full",
            "owner_account_sid": ACCOUNT_SID,
            "uri": f"{PREFIX}.json",
            "subresource_uris": {"messages": f"{PREFIX}/Messages.json"},
        },
    )


def _reference(callback: str) -> str:
    """The ``ref`` of a callback's query."""
    if "ref=" not in callback:
        return ""
    return parse_qs(urlsplit(callback).query).get("ref", [""])[-1]


async def _done(event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_EARLY_WITHIN_S):
            await event.wait()
    except TimeoutError:
        return
