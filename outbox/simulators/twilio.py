"""Twilio's Messages API: create, list, fetch, cancel, with its shapes, codes and callbacks.

A message's state is a function of its address, its age and the ledger, so it is the same after
a restart; callbacks that had not gone out are then lost, as in a real outage.
"""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections import defaultdict
from datetime import UTC, date, datetime
from email.utils import format_datetime

from outbox.simulators import magic
from outbox.simulators.callbacks import Callbacks
from outbox.simulators.faults import Faults
from outbox.simulators.http import Reply, Request, json_reply
from outbox.simulators.ledger import Entry, Ledger
from outbox.simulators.magic import Outcome

ACCOUNT_SID = "AC" + "5" * 32
AUTH_TOKEN = "simulated-auth-token"  # noqa: S105 - of a simulation
SENDERS = ("+15005550006", "+15005550007")

_PREFIX = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
_MAX_BODY = 1600
_MAX_PAGE = 1000


def _error(status: int, code: int, message: str, retry_after: int | None = None) -> Reply:
    more = f"https://www.twilio.com/docs/errors/{code}"
    value = {"code": code, "message": message, "more_info": more, "status": status}
    return json_reply(status, value, retry_after=retry_after)


class Twilio:
    """One simulated account."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        callbacks: Callbacks,
        faults: Faults,
        sent_after_s: float,
        final_after_s: float,
    ) -> None:
        """Delays are counted from acceptance."""
        self._ledger = ledger
        self._callbacks = callbacks
        self._faults = faults
        self._sent_after_s = sent_after_s
        self._final_after_s = final_after_s
        self._refused: defaultdict[str, int] = defaultdict(int)
        expected = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
        self._authorization = f"Basic {expected}"

    async def handle(self, request: Request) -> Reply:
        """Answer a request below ``/2010-04-01/``."""
        if request.authorization() != self._authorization:
            return _error(401, 20003, "Authenticate")
        path = request.path.removeprefix(_PREFIX)
        if path == "/Messages.json":
            return await self._create(request) if request.method == "POST" else self._list(request)
        if path.startswith("/Messages/"):
            return self._fetch(path.removeprefix("/Messages/").removesuffix(".json"))
        if path == ".json":
            return json_reply(200, {"sid": ACCOUNT_SID, "status": "active", "type": "Full"})
        return _error(404, 20404, "The requested resource was not found")

    async def _create(self, request: Request) -> Reply:
        form = request.form()
        to, body = form.get("To", ""), form.get("Body", "")
        sender = form.get("From") or form.get("MessagingServiceSid", "")
        for name, value, code in (("To", to, 21604), ("Body", body, 21602), ("From", sender, 21603)):
            if not value:
                return _error(400, code, f"A '{name}' is required.")
        if len(body) > _MAX_BODY:
            return _error(400, 21617, "The message body exceeds the 1600 character limit.")
        outcome = magic.of_number(to)
        refused = self._refuse(outcome, to)
        if refused is not None:
            return refused
        return await self._accept(request, form, outcome, to, sender)

    def _refuse(self, outcome: Outcome, to: str) -> Reply | None:
        if outcome.status in range(200, 300):
            return None
        if outcome.refuse_first:
            self._refused[to] += 1
            if self._refused[to] > outcome.refuse_first:
                return None
        code = outcome.code if isinstance(outcome.code, int) else outcome.status
        return _error(outcome.status, code, outcome.what, outcome.retry_after)

    async def _accept(
        self,
        request: Request,
        form: dict[str, str],
        outcome: Outcome,
        to: str,
        sender: str,
    ) -> Reply:
        struck = self._faults.strikes("twilio")
        if struck is not None and struck.status is not None:
            return _error(struck.status, 20000 + struck.status, "simulated", struck.retry_after)
        drop = outcome.drop or (struck is not None and struck.drop)
        callback = form.get("StatusCallback", "")
        query = callback.partition("#")[0].partition("?")[2]
        reference = dict(pair.partition("=")[::2] for pair in query.split("&")).get("ref", "")
        entry = Entry(
            provider="twilio",
            id="SM" + uuid.uuid4().hex,
            to=to,
            sender=sender,
            text=form["Body"],
            reference=reference,
            callback=callback,
            accepted_at=time.time(),
            answered=not drop,
        )
        await self._ledger.append(entry)
        if callback:
            self._schedule(entry, outcome)
        # An early receipt gets a head start; a slow answer outlasts the caller's patience.
        await asyncio.sleep(0.2 if outcome.early else outcome.slow_s)
        return Reply(201, drop=True) if drop else json_reply(201, self._shape(entry, "queued"))

    def _schedule(self, entry: Entry, outcome: Outcome) -> None:
        told: list[tuple[str, int | None, float]] = []
        if outcome.sent:
            told.append(("sent", None, self._sent_after_s))
        if outcome.final:
            told.append((outcome.final, outcome.final_code, self._final_after_s))
        if outcome.then_delivered:
            told.append(("delivered", None, self._final_after_s * 4))
        if outcome.early:
            told = [(status, code, 0.0) for status, code, _ in told]
        if outcome.shuffled:
            times = [after for _, _, after in told]
            told = [(s, c, after) for (s, c, _), after in zip(reversed(told), times, strict=True)] * 2
        for status, code, after in told:
            for _ in range(self._faults.callback_copies("twilio")):
                delay = after + self._faults.callback_delay_s("twilio")
                self._callbacks.twilio(
                    entry.callback,
                    self._fields(entry, status, code),
                    after_s=delay,
                )

    @staticmethod
    def _fields(entry: Entry, status: str, code: int | None) -> dict[str, str]:
        fields = {
            "MessageSid": entry.id,
            "SmsSid": entry.id,
            "MessageStatus": status,
            "SmsStatus": status,
            "AccountSid": ACCOUNT_SID,
            "From": entry.sender,
            "To": entry.to,
            "ApiVersion": "2010-04-01",
        }
        if code is not None:
            fields["ErrorCode"] = str(code)
        return fields

    def _now(self, entry: Entry) -> tuple[str, int | None]:
        """Status of a message by its age."""
        outcome = magic.of_number(entry.to)
        age = time.time() - entry.accepted_at
        if outcome.then_delivered and age >= self._final_after_s * 4:
            return "delivered", None
        if outcome.final and age >= self._final_after_s:
            return outcome.final, outcome.final_code
        if outcome.sent and age >= self._sent_after_s:
            return "sent", None
        return "queued", None

    def _shape(self, entry: Entry, status: str, code: int | None = None) -> dict[str, object]:
        created = datetime.fromtimestamp(entry.accepted_at, tz=UTC)
        service = entry.sender if entry.sender.startswith("MG") else None
        return {
            "account_sid": ACCOUNT_SID,
            "api_version": "2010-04-01",
            "body": entry.text,
            "date_created": format_datetime(created),
            "date_sent": None if status == "queued" else format_datetime(created),
            "date_updated": format_datetime(created),
            "direction": "outbound-api",
            "error_code": code,
            "error_message": None,
            "from": None if service else entry.sender,
            "messaging_service_sid": service,
            "num_media": "0",
            "num_segments": str(segments(entry.text)),
            "price": None,
            "price_unit": "USD",
            "sid": entry.id,
            "status": status,
            "subresource_uris": {},
            "to": entry.to,
            "uri": f"{_PREFIX}/Messages/{entry.id}.json",
        }

    def _fetch(self, sid: str) -> Reply:
        entry = self._ledger.find(sid)
        if entry is None:
            return _error(404, 20404, "The requested resource was not found")
        return json_reply(200, self._shape(entry, *self._now(entry)))

    def _list(self, request: Request) -> Reply:
        struck = self._faults.strikes("twilio")
        if struck is not None and (struck.status or struck.drop):
            return _error(struck.status or 503, 20503, "simulated", struck.retry_after)
        query = request.query
        day = date.fromisoformat(query["DateSent"]) if query.get("DateSent") else None
        size = min(_MAX_PAGE, int(query.get("PageSize", "50")))
        page = int(query.get("Page", "0"))
        entries = [
            entry
            for entry in self._ledger.entries(provider="twilio", to=query.get("To"))
            if day is None or datetime.fromtimestamp(entry.accepted_at, tz=UTC).date() == day
        ]
        entries.reverse()
        shown = entries[page * size : (page + 1) * size]
        more = f"{_PREFIX}/Messages.json?PageSize={size}&Page={page + 1}"
        if query.get("To"):
            more += "&To=" + query["To"].replace("+", "%2B")
        return json_reply(
            200,
            {
                "messages": [self._shape(entry, *self._now(entry)) for entry in shown],
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(0, len(shown) - 1),
                "uri": request.path,
                "first_page_uri": f"{_PREFIX}/Messages.json?PageSize={size}&Page=0",
                "previous_page_uri": None,
                "next_page_uri": more if len(entries) > (page + 1) * size else None,
            },
        )


_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€",
)


def segments(text: str) -> int:
    """Parts that a text is sent in: GSM-7 160 or 153 characters each, UCS-2 70 or 67."""
    single, joined = (160, 153) if set(text) <= _GSM else (70, 67)
    return 1 if len(text) <= single else -(-len(text) // joined)
