"""Crash points by their names: where a process can be killed, and what must be true afterwards."""

from __future__ import annotations

from tests.faults.billing_points import BILLING
from tests.faults.point import Point


def _named(*points: Point) -> dict[str, Point]:
    return {point.name: point for point in points}


NOTHING = "nothing of it is stored; the backend's repetition is accepted as new"
ALL = "all of it is stored; the backend's repetition gets the same ids, and it is sent once"
ONCE = "sent exactly once"

INTAKE = _named(
    Point(
        name="intake: body read",
        place="gateway.events:decode",
        when="before",
        truth=NOTHING,
    ),
    Point(
        name="intake: recipients looked up",
        place="gateway.accept:find_recipients",
        when="after",
        truth=NOTHING,
    ),
    Point(
        name="intake: prepared, not queued",
        place="outbox.store.group_commit:GroupCommit.submit",
        when="before",
        truth=NOTHING,
    ),
    Point(
        name="intake: batch taken, nothing written",
        place="outbox.store.group_commit:GroupCommit._transaction",
        when="before",
        of="Request",
        truth=NOTHING,
    ),
    Point(
        name="intake: keys and alerts locked",
        place="outbox.store.intake:_insert",
        when="before",
        truth=NOTHING,
    ),
    Point(
        name="intake: written, before COMMIT",
        place="outbox.store.intake:write",
        when="after",
        truth=NOTHING,
    ),
    Point(
        name="intake: COMMIT done, nobody told",
        place="outbox.store.group_commit:GroupCommit._transaction",
        when="after",
        of="Request",
        truth=ALL,
    ),
    Point(
        name="intake: relays not woken",
        place="outbox.store.wake:Waker.wake",
        when="before",
        truth=ALL,
    ),
    Point(
        name="intake: before the 202",
        place="gateway.events:answer",
        when="after",
        truth=ALL,
    ),
)

ASKED = "Twilio is asked before anything is repeated: sent exactly once"
PUSHED = "acknowledged by a device; the app drops repetitions by the notification's id"

CALLS = _named(
    Point(
        name="claim: rows seen, nothing claimed",
        place="outbox.relay.lanes:claim",
        when="before",
        truth=ONCE,
    ),
    Point(
        name="claim: COMMIT done, nothing read for it",
        place="outbox.relay.lanes:claim",
        when="after",
        truth=ASKED,
    ),
    Point(
        name="claim: read, no call begun",
        place="outbox.relay.lanes:assign",
        when="after",
        truth=ASKED,
    ),
    Point(
        name="text: before the call",
        place="outbox.providers.twilio:TwilioSms.send",
        when="before",
        truth=ASKED,
    ),
    Point(
        name="text: answered, not settled",
        place="outbox.providers.twilio:TwilioSms.send",
        when="after",
        truth=ASKED,
    ),
    Point(
        name="push: before the first device",
        place="outbox.providers.fcm:FcmPush.send",
        when="before",
        truth=PUSHED,
    ),
    Point(
        name="push: between two devices",
        place="outbox.providers.fcm:FcmPush.send",
        when="after",
        truth=PUSHED,
    ),
    Point(
        name="page: before the call",
        place="outbox.providers.operator:OperatorWebhook.send",
        when="before",
        truth="paged once",
    ),
    Point(
        name="page: answered, not settled",
        place="outbox.providers.operator:OperatorWebhook.send",
        when="after",
        truth="paged once: the pager knows repetitions by their key",
    ),
)

SETTLES = _named(
    Point(
        name="settle: queued",
        place="outbox.relay.settler:Settler.put",
        when="after",
        truth=ASKED,
    ),
    Point(
        name="settle: before the transaction",
        place="outbox.relay.settler:settle",
        when="before",
        truth=ASKED,
    ),
    Point(
        name="settle: written, before COMMIT",
        place="outbox.store.settle:run_shard",
        when="after",
        truth=ASKED,
    ),
    Point(
        name="settle: COMMIT done, slots not freed",
        place="outbox.relay.settler:settle",
        when="after",
        truth=ONCE,
    ),
    Point(
        name="settle of an alert: locked and written, before COMMIT",
        place="outbox.store.alerts:run_shard",
        when="after",
        truth="paged once",
    ),
    Point(
        name="settle of an alert: paged, before COMMIT",
        place="outbox.store.alerts:insert_page",
        when="after",
        truth="paged once",
    ),
    Point(
        name="settle of an alert: COMMIT done",
        place="outbox.relay.settler:settle_alert",
        when="after",
        truth="paged once",
    ),
    Point(
        name="resolve: before asking",
        place="outbox.providers.twilio:TwilioSms.find",
        when="before",
        truth=ASKED,
    ),
    Point(
        name="resolve: answered, not settled",
        place="outbox.providers.twilio:TwilioSms.find",
        when="after",
        truth=ASKED,
    ),
    Point(
        name="late receipt: before asking",
        place="outbox.providers.twilio:TwilioSms.fetch",
        when="before",
        truth=ONCE,
    ),
    Point(
        name="late receipt: answered, not settled",
        place="outbox.providers.twilio:TwilioSms.fetch",
        when="after",
        truth=ONCE,
    ),
)

HEARD = "the receipt counts, once; where it was lost the provider is asked"

CALLBACKS = _named(
    Point(
        name="callback: verified, not queued",
        place="gateway.webhooks:keep",
        when="before",
        truth=HEARD,
    ),
    Point(
        name="callback: written, before COMMIT",
        place="outbox.store.inbox:store",
        when="after",
        truth=HEARD,
    ),
    Point(
        name="callback: COMMIT done, nobody told",
        place="outbox.store.group_commit:GroupCommit._transaction",
        when="after",
        of="InboxItem",
        truth=HEARD,
    ),
    Point(
        name="callback: before the 2xx",
        place="gateway.webhooks:keep",
        when="after",
        truth=HEARD,
    ),
    Point(
        name="acknowledgement: verified, not queued",
        place="gateway.receipts:keep",
        when="before",
        truth="the push counts as received if the app says it again, else the next step is taken",
    ),
    Point(
        name="acknowledgement: before the 2xx",
        place="gateway.receipts:keep",
        when="after",
        truth="the push counts as received",
    ),
)

APPLIES = _named(
    Point(
        name="apply: nothing taken",
        place="outbox.relay.applier:take",
        when="before",
        truth=HEARD,
    ),
    Point(
        name="apply: taken",
        place="outbox.relay.applier:take",
        when="after",
        truth=HEARD,
    ),
    Point(
        name="apply: appended",
        place="outbox.store.receipts:_append",
        when="after",
        truth=HEARD,
    ),
    Point(
        name="apply: applied, before COMMIT",
        place="outbox.relay.applier:done",
        when="after",
        truth=HEARD,
    ),
    Point(
        name="apply: COMMIT done, nobody woken",
        place="outbox.relay.applier:Applier._shard",
        when="after",
        truth=HEARD,
    ),
)

POINTS = {**INTAKE, **CALLS, **SETTLES, **CALLBACKS, **APPLIES, **BILLING}
