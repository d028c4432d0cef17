"""What the audit looks for, in words: each check with the table it names and what a person does.

A check is a rule that holds in every snapshot of the ledger; who breaks it is an offender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from msgspec import Struct

from outbox.domain.states import Lane

OVERDUE_S = {Lane.SAFETY: 120, Lane.CODES: 120, Lane.TRANSACTIONAL: 900, Lane.BULK: 86_400}
"""How long something may be due although nobody works on it: behind others of its lane, too."""

UNAPPLIED_S = 120
"""How long a stored callback may wait to be applied."""

AHEAD_DAYS = 2
"""So many days ahead partitions must be there; they are made two weeks ahead."""


class Check(Struct, frozen=True):
    """One rule of the ledger."""

    table: str
    """Whose row an offender is."""
    why: str
    """What is wrong with it."""
    step: str
    """What a person does about it."""


_TRACE = "pruuf trace ID tells its story"
_RESTORE = (
    "Somebody, or a fault, changed the ledger by hand: compare with a backup before anything else"
)
_ERASE = "Ask for it once more: DELETE /v1/recipients/ID begins it anew"
_STOPPED = "Is a relay alive? pruuf stats, pruuf doctor"
_REVIVE = f"{_TRACE}; it is lost unless it is put back to work by hand: call us in"

CHECKS: Mapping[str, Check] = {
    # One due row if and only if it is not final.
    "open_without_due": Check(
        "notification", "is not final, and nobody will ever look at it again: no due row", _REVIVE
    ),
    "final_with_due": Check("due", "belongs to a notification that is final", _TRACE),
    "due_without_notification": Check("due", "belongs to no notification", _RESTORE),
    "open_at_rest": Check(
        "due", "is due never, although its notification is not parked", f"{_TRACE}; then redrive it"
    ),
    "parked_at_work": Check("due", "is at work, although its notification is parked", _TRACE),
    "overdue": Check("due", "has been due for too long: nobody works on it", _STOPPED),
    "due_too_late": Check("due", "is due long after its notification expires", _RESTORE),
    "waits_too_long": Check("due", "waits for its receipt longer than its plan says", _RESTORE),
    "other_lane": Check("due", "is in another lane than its notification", _RESTORE),
    "fence_behind": Check("due", "has a lower fence than a call that was made", _RESTORE),
    "step_behind": Check("due", "is at an earlier step than a call that was made", _RESTORE),
    "step_beyond": Check("due", "is at a step that its plan does not have", _RESTORE),
    "step_in_future": Check("due", "is at a step that begins after it is due", _RESTORE),
    "held_for_nothing": Check("due", "waits for an alert's outcome, but is no all-clear", _RESTORE),
    "failure_unheard": Check("due", "does not know the failure receipt of its call", _TRACE),
    "failure_unsaid": Check("due", "knows of a failure that no receipt told of", _RESTORE),
    "withdrawn_by_nobody": Check("due", "is withdrawn, but nobody withdrew it", _RESTORE),
    # Every fact belongs to one that is there.
    "notification_without_event": Check("notification", "belongs to no event", _RESTORE),
    "other_subject": Check("notification", "is about somebody else than its event", _RESTORE),
    "plan_unreadable": Check("notification", "has a plan that cannot be read", _RESTORE),
    "plan_of_other_lane": Check("notification", "is in another lane than its plan", _RESTORE),
    "expiry_unexplained": Check("notification", "expires at another time than planned", _RESTORE),
    "clears_nothing": Check(
        "notification", "takes back a notification that is not there", _RESTORE
    ),
    "attempt_without_notification": Check("attempt", "belongs to no notification", _RESTORE),
    "receipt_without_notification": Check("receipt", "belongs to no notification", _RESTORE),
    "action_without_notification": Check("action", "belongs to no notification", _RESTORE),
    "code_without_notification": Check(
        "verification", "names a notification that is not there", _RESTORE
    ),
    "billing_without_notification": Check(
        "billing_event", "names a command that is not there", _RESTORE
    ),
    "account_missing": Check("account", "is not there, although there are facts of it", _RESTORE),
    "account_unheard": Check("account", "is there, and no recorded fact tells of it", _RESTORE),
    "account_unexplained": Check(
        "account",
        "has a role, a wish or a membership that its recorded facts do not give",
        _RESTORE,
    ),
    "commands_miscounted": Check(
        "account", "counts other commands than were recorded: their order is lost", _RESTORE
    ),
    "told_in_future": Check("", "of billing has changed at a time that is yet to come", _RESTORE),
    "event_without_key": Check(
        "event", "has no idempotency key: sent again, it would be new", _RESTORE
    ),
    "key_without_event": Check("event_key", "names an event that is not there", _RESTORE),
    "key_of_other_event": Check("event_key", "does not fit the event that it names", _RESTORE),
    "promised_missing": Check(
        "notification", "was promised in the answer to its event, and is not there", _RESTORE
    ),
    "not_as_promised": Check("notification", "differs from what its event was answered", _RESTORE),
    "never_promised": Check("notification", "is in no answer to its event", _RESTORE),
    "own_event_alone": Check("event", "is our own, and has no notification", _RESTORE),
    "dropped_unsaid": Check(
        "notification", "has no texts, and does not say that they were dropped", _RESTORE
    ),
    "dropped_too_early": Check(
        "notification", "is not finished, and its texts are dropped", _RESTORE
    ),
    "erasure_incomplete": Check(
        "erasure", "is at its end, although something of the person is there", _ERASE
    ),
    "erasure_late": Check(
        "erasure", "has been asked for days ago, and is not at its end", "pruuf erasures tells why"
    ),
    # The state is what the history says.
    "delivered_unproven": Check(
        "notification", "is delivered, but neither attempt nor receipt proves it", _TRACE
    ),
    "success_ignored": Check(
        "notification", "is not delivered, although a receipt says that it arrived", _TRACE
    ),
    "cancelled_but_sent": Check(
        "notification", "is cancelled, although something of it may be at a provider", _TRACE
    ),
    "rank_wrong": Check("receipt", "ranks otherwise than what was said does", _RESTORE),
    "callback_unapplied": Check("inbox", "has waited too long to be applied", _STOPPED),
    "callback_without_receipt": Check(
        "inbox", "was applied, but its receipt is not there", _RESTORE
    ),
    "receipt_time_wrong": Check("receipt", "came at another time than its callback", _RESTORE),
    # A Member's life.
    "alert_missing": Check(
        "alert", "is not there, although its Member checked in or missed to", _RESTORE
    ),
    "alert_unopened": Check(
        "alert", "is closed, although a missed check-in is not answered", _RESTORE
    ),
    "alert_event_wrong": Check(
        "alert", "was opened by what is no missed check-in of its Member", _RESTORE
    ),
    "alert_list_wrong": Check(
        "alert", "does not list the notifications of the open alert", _RESTORE
    ),
    "alert_told_wrong": Check("alert", "does not list those who are told", _RESTORE),
    "alert_page_wrong": Check(
        "alert", "does not know the operator page of the open alert", _RESTORE
    ),
    "checkin_time_wrong": Check("alert", "has a check-in that nobody made, or lacks one", _RESTORE),
    "changed_in_future": Check("suppression", "has a time that is yet to come", _RESTORE),
    "stored_in_future": Check("recipient", "has a time that is yet to come", _RESTORE),
    "from_the_future": Check("alert", "has a time that is yet to come", _RESTORE),
    # What the machine needs.
    "opt_out_missing": Check(
        "suppression", "is not there, although the provider told of the opt-out", _RESTORE
    ),
    "lane_missing": Check("lane", "is not there: nobody peeks into this queue", "pruuf migrate"),
    "lane_mark_too_high": Check(
        "lane", "has a mark above what is due: it would be passed over", _RESTORE
    ),
    "partition_missing": Check("partition", "is not there: intake will stop", "pruuf migrate"),
    # Roots.
    "row_missing": Check("", "was stored, and is not there any more", _RESTORE),
    "row_altered": Check("", "differs from what was stored", _RESTORE),
    "row_added": Check("", "was not stored when it says that it was", _RESTORE),
    "root_altered": Check("audit_root", "does not fit its own leaves", _RESTORE),
    "root_missing": Check(
        "audit_root", "is not linked to the one before: one is missing", _RESTORE
    ),
    "head_wrong": Check("audit_head", "does not fit the roots of its shard", _RESTORE),
    "key_unknown": Check(
        "audit_root",
        "is made with a look-up key that is not there",
        "Put the older key back at the end of PRUUF_LOOKUP_KEYS",
    ),
    "count_wrong": Check(
        "audit_count", "accepted otherwise than final, pending and parked together", _RESTORE
    ),
    # What is sealed.
    "unreadable": Check("", "does not open: altered, moved, or its key is missing", _RESTORE),
    "content_differs": Check("event", "holds other content than its keyed hash says", _RESTORE),
    "said_otherwise": Check("inbox", "says something else than it was stored for", _RESTORE),
    "hash_differs": Check("", "is found by another number or address than it holds", _RESTORE),
}


class Offender(Struct, frozen=True, kw_only=True, order=True):
    """A row that breaks a rule."""

    check: str
    table: str
    id: str
    why: str


class Found(Struct, frozen=True):
    """Who breaks one rule."""

    check: str
    number: int
    named: tuple[Offender, ...]
    """The first of them."""


class Figures(Struct, frozen=True, kw_only=True):
    """What became of the notifications of one kind and day; ``accepted`` is known by itself."""

    kind: str
    day: date
    accepted: int
    final: int
    pending: int
    parked: int

    @property
    def balanced(self) -> bool:
        """Whether nothing is lost, and nothing came from nowhere."""
        return self.accepted == self.final + self.pending + self.parked


def offender(check: str, name: str, *, table: str | None = None) -> Offender:
    """Name a row that breaks a rule."""
    rule = CHECKS[check]
    return Offender(check=check, table=table or rule.table, id=name, why=rule.why)


def gathered(found: Iterable[Found], *, most: int) -> list[Found]:
    """The same checks of several shards together, each naming no more than ``most``."""
    numbers: dict[str, int] = {}
    named: dict[str, list[Offender]] = {}
    for each in found:
        numbers[each.check] = numbers.get(each.check, 0) + each.number
        named.setdefault(each.check, []).extend(each.named)
    return [
        Found(check, numbers[check], tuple(sorted(set(named[check]))[:most]))
        for check in CHECKS
        if check in numbers
    ]
