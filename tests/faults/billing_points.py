"""Crash points of billing: between a webhook and its effect, a command and Stripe's answer."""

from __future__ import annotations

from tests.faults.point import Point


def _named(*points: Point) -> dict[str, Point]:
    return {point.name: point for point in points}


AGAIN = "nothing of it is stored; Stripe tells it again"
KEPT = "it is stored; Stripe may tell it again, which changes nothing"

WEBHOOKS = _named(
    Point(
        name="webhook: verified, not queued",
        place="gateway.stripe_webhooks:sealed_event",
        when="before",
        truth=AGAIN,
    ),
    Point(
        name="webhook: written, before COMMIT",
        place="outbox.store.inbox:store",
        when="after",
        truth=AGAIN,
    ),
    Point(
        name="webhook: COMMIT done, nobody told",
        place="outbox.store.group_commit:GroupCommit._transaction",
        when="after",
        of="InboxItem",
        truth=KEPT,
    ),
    Point(
        name="webhook: relays woken, before the 2xx",
        place="outbox.store.wake:Waker.wake_inbox",
        when="after",
        truth=KEPT,
    ),
)

APPLIED = "applied once, by who comes next"

EVENTS = _named(
    Point(
        name="event: nothing taken",
        place="outbox.relay.billing_applier:take",
        when="before",
        truth=APPLIED,
    ),
    Point(
        name="event: taken",
        place="outbox.relay.billing_applier:take",
        when="after",
        truth=APPLIED,
    ),
    Point(
        name="event: its account locked",
        place="outbox.store.billing_effects:lock",
        when="after",
        truth=APPLIED,
    ),
    Point(
        name="event: written, not remembered",
        place="outbox.store.billing_marks:remember",
        when="before",
        truth=APPLIED,
    ),
    Point(
        name="event: marked as done, before COMMIT",
        place="outbox.relay.billing_applier:done",
        when="after",
        truth=APPLIED,
    ),
    Point(
        name="event: COMMIT done, nobody woken",
        place="outbox.relay.billing_applier:BillingApplier._apply",
        when="after",
        truth=APPLIED,
    ),
)

LOOKED = "asked again, by who comes next; what Stripe says then is what is kept"

LOOKS = _named(
    Point(
        name="look: ordered, before COMMIT",
        place="outbox.store.billing_effects:Effects._look",
        when="after",
        truth=LOOKED,
    ),
    Point(
        name="look: before asking",
        place="outbox.providers.stripe:StripeBilling.fetch",
        when="before",
        truth=LOOKED,
    ),
    Point(
        name="look: answered, not settled",
        place="outbox.providers.stripe:StripeBilling.fetch",
        when="after",
        truth=LOOKED,
    ),
    Point(
        name="look: written, before COMMIT",
        place="outbox.store.billing_learn:Learned.write",
        when="after",
        truth=LOOKED,
    ),
    Point(
        name="look: settled",
        place="outbox.relay.settler:settle",
        when="after",
        truth=LOOKED,
    ),
)

ONCE = "done once at Stripe: the same key brings the same answer"

COMMANDS = _named(
    Point(
        name="command: claimed, nothing read",
        place="outbox.relay.billing:read_command",
        when="before",
        truth=ONCE,
    ),
    Point(
        name="command: read, Stripe not asked",
        place="outbox.relay.billing:read_command",
        when="after",
        truth=ONCE,
    ),
    Point(
        name="command: looked, change not begun",
        place="outbox.providers.stripe:StripeBilling.carry_out",
        when="before",
        truth=ONCE,
    ),
    Point(
        name="command: answered, not settled",
        place="outbox.providers.stripe:StripeBilling.carry_out",
        when="after",
        truth=ONCE,
    ),
    Point(
        name="command: learned, before COMMIT",
        place="outbox.store.billing_learn:Learned.write",
        when="after",
        truth=ONCE,
    ),
    Point(
        name="command: settled, before the next change",
        place="outbox.relay.settler:settle",
        when="after",
        truth=ONCE,
    ),
)

READ = "read again from where the cursor stands; what is there already changes nothing"

LISTS = _named(
    Point(
        name="list: leased, nothing asked",
        place="outbox.relay.billing_catch_up:take",
        when="after",
        truth=READ,
    ),
    Point(
        name="list: a page is answered",
        place="outbox.providers.stripe:StripeBilling.events_after",
        when="after",
        truth=READ,
    ),
    Point(
        name="list: stored, the cursor stands",
        place="outbox.relay.billing_catch_up:put",
        when="before",
        truth=READ,
    ),
    Point(
        name="list: the cursor moved, before COMMIT",
        place="outbox.relay.billing_catch_up:put",
        when="after",
        truth=READ,
    ),
    Point(
        name="list: COMMIT done",
        place="outbox.relay.billing_catch_up:BillingCatchUp._store",
        when="after",
        truth=READ,
    ),
)

MENDED = "the next run sees what still differs, and mends it once"

REPAIRS = _named(
    Point(
        name="repair: seen, nothing ordered",
        place="outbox.relay.billing_books:repair",
        when="before",
        truth=MENDED,
    ),
    Point(
        name="repair: an end written, before COMMIT",
        place="outbox.store.billing_books:next_place",
        when="after",
        truth=MENDED,
    ),
    Point(
        name="repair: an end ordered",
        place="outbox.store.billing_books:command",
        when="after",
        truth=MENDED,
    ),
    Point(
        name="repair: a question ordered",
        place="outbox.store.billing_books:ask",
        when="after",
        truth=MENDED,
    ),
)

BILLING = {**WEBHOOKS, **EVENTS, **LOOKS, **COMMANDS, **LISTS, **REPAIRS}
