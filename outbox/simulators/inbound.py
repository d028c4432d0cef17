"""Texts from people: a signed POST to the gateway's inbound webhook, as Twilio makes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from outbox.simulators import callbacks as making
from outbox.simulators.asgi import Reply, Request, json_reply
from outbox.simulators.callbacks import Callbacks
from outbox.simulators.credentials import Credentials
from outbox.simulators.faults import Faults
from outbox.simulators.opt_outs import OptOuts, OptOutType, meaning
from outbox.simulators.twilio_messages import ACCOUNT_SID, API_VERSION, segments

_PATH = "/webhooks/twilio/inbound"
_E164 = r"^\+[1-9]\d{6,14}$"
_OURS = r"^(\+[1-9]\d{6,14}|\d{3,8})$"

_Person = Annotated[str, Meta(pattern=_E164)]
_Own = Annotated[str, Meta(pattern=_OURS)]


class Inbound(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One text, as it is asked for."""

    from_: _Person = msgspec.field(name="from")
    to: _Own
    """The number of ours that it was sent to."""
    body: Annotated[str, Meta(max_length=1600)]
    opt_out_type: OptOutType | None = None
    """As Advanced Opt-Out tells it; it may know more words than the default ones."""


class InboundTexts:
    """Sends them."""

    def __init__(
        self,
        *,
        callbacks: Callbacks,
        faults: Faults,
        opt_outs: OptOuts,
        credentials: Credentials,
        app: str | None,
    ) -> None:
        """``app``: base address of the gateway; null: nobody is told."""
        self._callbacks = callbacks
        self._faults = faults
        self._opt_outs = opt_outs
        self._credentials = credentials
        self._app = app

    async def handle(self, request: Request) -> Reply:
        """Answer ``POST /_sim/inbound``: the text is on its way, and an opt-out is in force."""
        if self._app is None:
            return json_reply(409, {"error": "start with --callback: texts have nowhere to go"})
        try:
            text = msgspec.json.decode(request.body, type=Inbound)
        except msgspec.DecodeError as error:
            return json_reply(400, {"error": str(error), "accepted": _EXAMPLE})
        await self._opt_outs.heard(text.from_, text.opt_out_type or meaning(text.body))
        sid = "SM" + os.urandom(16).hex()
        fields = _fields(text, sid)
        for delay in self._faults.callback_delays("twilio"):
            callback = making.twilio(
                self._app + _PATH, fields, self._credentials.primary, message=""
            )
            self._callbacks.make(callback, after_s=delay)
        return json_reply(200, {"sid": sid, "opted_out": text.from_ in self._opt_outs})


_EXAMPLE = {
    "from": "+12025550100",
    "to": "+15005550006",
    "body": "STOP",
    "opt_out_type": "STOP, START, HELP or null",
}


def _fields(text: Inbound, sid: str) -> Mapping[str, str]:
    fields = {
        "AccountSid": ACCOUNT_SID,
        "ApiVersion": API_VERSION,
        "Body": text.body,
        "From": text.from_,
        "FromCountry": "US",
        "MessageSid": sid,
        "NumMedia": "0",
        "NumSegments": str(segments(text.body)),
        "SmsMessageSid": sid,
        "SmsSid": sid,
        "SmsStatus": "received",
        "To": text.to,
        "ToCountry": "US",
    }
    if text.opt_out_type is not None:
        fields["OptOutType"] = text.opt_out_type
    return fields
