"""The outbox as a plain Python object: what must be true of it after everything that happens to it.

It knows no SQL, no lock and no batch; one thing happens after the other. Whatever the real one
shows that this one does not is a bug of either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from outbox.domain.plans import Plan
from outbox.domain.states import Work
from outbox.relay.clock import LEASE_S
from outbox.store.claims import Claim
from outbox.store.settle import Attempt

from .decide import Claimed, End, Next
from .row import NEVER, Member, Row, Said, Span, Telling, Tried

ALERT, NOTE, CLEAR, PAGE = (
    "checkin.missed",
    "checkin.confirmed",
    "checkin.all_clear",
    "operator.page",
)
OPERATOR = "operator"
_FAILED = {"undeliverable", "suppressed", "expired"}
_REDRIVABLE = _FAILED


class New(Struct, frozen=True):
    """A notification as the database stored it."""

    id: UUID
    recipient: str
    kind: str
    plan: Plan


class Oracle:
    """Notifications, Members, and the rules."""

    def __init__(self) -> None:
        self.all: dict[UUID, Telling] = {}
        self.members: dict[str, Member] = {}

    # What is accepted.

    def add(self, new: New, member: str, now: Span, *, clears: UUID | None = None) -> Telling:
        short = {ALERT: "alert", NOTE: "note", CLEAR: "all-clear", PAGE: "page"}
        kind = short.get(new.kind, new.kind.rpartition(".")[2])
        count = sum(t.name.startswith(kind) for t in self.all.values())
        work = Work.SEND if clears is None else Work.HOLD
        told = Telling(
            id=new.id,
            name=f"{kind} {count + 1}",
            kind=new.kind,
            recipient=new.recipient,
            member=member,
            plan=new.plan,
            row=Row(due=now, work=work),
            clears=clears,
        )
        self.all[new.id] = told
        return told

    def missed(
        self, member: str, hour: int, contacts: Sequence[str], stored: Iterable[New], now: Span
    ) -> None:
        life = self.members.setdefault(member, Member())
        made = {new.recipient: new for new in stored}
        superseded = hour <= life.checked_in
        wanted = [c for c in contacts if superseded or c not in life.told]
        assert list(made) == wanted, f"alerts for {list(made)} instead of {wanted}"
        told = [self.add(made[contact], member, now) for contact in wanted]
        if superseded:
            for one in told:
                one.finish("cancelled")
            return
        life.missed = max(hour, life.missed) if life.is_open else hour
        life.is_open = True
        life.told += wanted
        life.notifications += [one.id for one in told]

    def checked_in(
        self, member: str, hour: int, contacts: Sequence[str], stored: Iterable[New], now: Span
    ) -> None:
        """Of those of the same transaction nothing begins; they have no due row in the end."""
        life = self.members.setdefault(member, Member())
        life.checked_in = max(hour, life.checked_in)
        ended: list[Telling] = []
        if life.is_open and hour >= life.missed:
            ended = [self.all[one] for one in life.notifications]
            ended += [self.all[life.page]] if life.page else []
            life.told, life.notifications, life.is_open, life.page = [], [], False, None
        clears = {}
        for one in ended:
            if one.row is not None and not one.row.fence:
                one.finish("cancelled")
                continue
            if one.row is not None:
                self._flag(one.row, now)
            clears[one.recipient] = one
        wanted = {who: PAGE if who == OPERATOR else CLEAR for who in clears}
        wanted |= {who: NOTE for who in contacts if who not in clears}
        made = {new.recipient: new for new in stored}
        assert {who: new.kind for who, new in made.items()} == wanted, "who is told of the check-in"
        for who in [*clears, *(c for c in contacts if c not in clears)]:
            self.add(made[who], member, now, clears=clears[who].id if who in clears else None)

    def _flag(self, row: Row, now: Span) -> None:
        row.cancel = True
        if row.owner is None and row.work in {Work.SEND, Work.HOLD}:
            row.due = now

    # What relays do.

    def claimed(
        self, claims: Sequence[Claim], devices: Mapping[str, int], now: Span
    ) -> list[Claimed]:
        """They are all that is due, each row is as it must be, and nobody else has it."""
        got = {claim.notification for claim in claims}
        for one in self.all.values():
            if one.row is not None and one.row.due.has_come(now):
                assert one.id in got, f"{one.name} is due, and was not claimed"
        for claim in claims:
            one = self.all[claim.notification]
            assert one.row is not None, f"{one.name} is {one.state}, and was claimed"
            early = "claimed in another's lease" if one.row.owner else "claimed before it is due"
            assert one.row.due.may_have_come(now), f"{one.name} was {early}"
            abandoned = one.row.owner is not None
            assert claim.abandoned == abandoned, f"{one.name}: outcome unknown is {not abandoned}"
            self._claim(one.row, claim, now)
        return [self._seen(claim, devices) for claim in claims]

    def _claim(self, row: Row, claim: Claim, now: Span) -> None:
        is_over = row.failed or (row.until is not None and row.until.has_come(now))
        if row.until is not None and row.until.may_have_come(now) and not is_over:
            is_over = claim.step > row.step
        next_step = row.work == Work.AWAIT and is_over
        if row.work == Work.SEND and row.owner is not None:
            row.work = Work.RESOLVE
        elif row.work == Work.AWAIT:
            row.work = Work.SEND if next_step else Work.ASK
        row.suspect += row.owner is not None
        row.fence += 1
        row.owner = claim.token
        row.due = now.later(LEASE_S)
        if next_step:
            row.step, row.attempt, row.asked = row.step + 1, 0, 0
        if row.work != Work.ASK:
            row.until = None
        if row.work == Work.SEND:
            row.attempt += 1
            row.call_fence, row.failed = row.fence, False

    def _seen(self, claim: Claim, devices: Mapping[str, int]) -> Claimed:
        one = self.all[claim.notification]
        row = one.row
        assert row is not None
        return Claimed(
            notification=one.name,
            plan=one.plan,
            work=row.work,
            step=row.step,
            attempt=row.attempt,
            asked=row.asked,
            suspect=row.suspect,
            cancel=row.cancel,
            step_age_s=claim.step_age_s,
            left_s=claim.receipt_left_s or 0.0,
            may_have_been_sent=one.may_have_been_sent(),
            number_is_dead=one.number_is_dead(),
            said=tuple(said.failed for said in one.said if said.fence == row.call_fence),
            known=frozenset(t.message for t in one.tried if t.fence != row.call_fence),
            devices=devices.get(one.recipient, 0),
            standing=self._standing(one),
        )

    def _standing(self, one: Telling) -> str | None:
        if one.clears is None:
            return None
        alert = self.all[one.clears]
        waits = alert.row is not None and alert.row.work in {Work.AWAIT, Work.ASK}
        if alert.state == "delivered" or waits or alert.may_have_been_sent():
            return "reached"
        return None if alert.row is None else "open"

    def settled(
        self, claim: Claim, then: Next | End, attempts: Sequence[Attempt], now: Span
    ) -> bool:
        """It moves the row if it is still its own. Whether the person on call must be told."""
        one = self.all[claim.notification]
        row = one.row
        for attempt in attempts:
            outcome = attempt.outcome
            result, message = str(outcome.result), outcome.provider_id
            tried = Tried(claim.fence, attempt.what, attempt.channel, result, message)
            one.tried.append(tried)
        if claim.work == Work.RESOLVE:
            assert one.may_have_been_sent(), f"{one.name}: no word of the call that was resolved"
        if row is not None and row.fence == claim.fence and row.owner == claim.token:
            called = claim.work == Work.SEND and any(a.what == "send" for a in attempts)
            if isinstance(then, End):
                one.finish(then.state)
            else:
                self._move(one, row, then, now, called=called)
        failed = isinstance(then, End) and then.state != "delivered"
        return failed and one.kind == ALERT and self._is_lost(one)

    def _move(self, one: Telling, row: Row, then: Next, now: Span, *, called: bool) -> None:
        kept = then.work != Work.AWAIT and then.step == row.step and not called
        if then.work != Work.AWAIT:
            row.until = None
        elif then.receipt_within_s is not None:
            row.until = now.later(then.receipt_within_s)
        if (row.cancel and then.work in {Work.SEND, Work.HOLD}) or (
            row.failed and then.work == Work.AWAIT
        ):
            row.due = now
        elif then.parked:
            one.state, row.due = "parked", Span(NEVER, NEVER)
        else:
            at = now.later(then.in_s)
            until = row.until or Span(NEVER, NEVER)
            low, high = min(at.low, until.low), min(at.high, until.high)
            row.due = Span(max(low, now.low), max(high, now.high))
        if then.step != row.step:
            row.failed = False
        row.suspect = row.suspect if kept else 0
        row.work, row.step, row.attempt, row.asked = then.work, then.step, then.attempt, then.asked
        row.owner = None

    def _is_lost(self, one: Telling) -> bool:
        life = self.members[one.member]
        if not life.is_open or life.page is not None or one.id not in life.notifications:
            return False
        return self._lost(life.notifications)

    def _lost(self, notifications: Iterable[UUID]) -> bool:
        states = {self.all[each].state for each in notifications}
        return bool(states & _FAILED) and states <= _FAILED | {"cancelled"}

    def paged(self, alert: UUID, page: New, now: Span) -> None:
        member = self.all[alert].member
        self.members[member].page = page.id
        self.add(page, member, now)

    # What is heard, and what people do.

    def heard(self, notification: UUID, step: int, said: Said, now: Span, *, success: bool) -> None:
        one = self.all[notification]
        one.said.append(said)
        row = one.row
        if success and one.state != "cancelled":
            one.finish("delivered")
        if not said.failed or row is None or one.row is None:
            return
        if row.step == step and row.call_fence == said.fence and not row.failed:
            row.failed = True
            if row.owner is None and row.work in {Work.AWAIT, Work.RESOLVE, Work.ASK}:
                row.due = now

    def cancelled(self, notification: UUID, now: Span) -> str:
        one = self.all[notification]
        if one.row is None:
            return "already_final"
        life = self.members.get(one.member)
        last_hope = False
        if life is not None and life.page is None and one.id in life.notifications:
            last_hope = self._lost(each for each in life.notifications if each != one.id)
        if not one.row.fence and not last_hope:
            one.finish("cancelled")
            return "cancelled"
        self._flag(one.row, now)
        one.state = "open"
        return "in_flight"

    def redriven(self, notification: UUID, now: Span) -> str:
        one = self.all[notification]
        row = one.row
        if row is not None and not (row.is_parked and row.owner is None):
            return "in_flight"
        is_over = one.kind == ALERT and one.id not in self.members[one.member].notifications
        if row is None and (one.state not in _REDRIVABLE or is_over):
            return "already_final"
        if row is None:
            newest = max([0, *(t.fence for t in one.tried), *(s.fence for s in one.said)])
            one.row = Row(due=now, fence=newest, call_fence=newest)
        else:
            row.work, row.due, row.attempt, row.asked = Work.SEND, now, 0, 0
            row.suspect, row.cancel = 0, False
        one.state = "open"
        return "redriven"
