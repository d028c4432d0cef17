"""The real outbox beside its model: several relays by hand on one database, and one time.

Each thing that happens is done to both; afterwards the due rows and states have to be the same.
Time passes by shifting what the database keeps: a second for each thing that happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from msgspec import Struct

from outbox.domain import plans
from outbox.domain.callbacks import Callback
from outbox.domain.plans import Channel
from outbox.domain.receipts import is_failure, is_success, rank_of
from outbox.domain.states import Work
from outbox.providers.codes import classify_receipt
from outbox.relay.caller import Assignment
from outbox.settings import Settings
from outbox.store import actions
from outbox.store.settle import Settlement
from tests.integration.relay_hand import Hand, person, stand_in

from . import decide as rules
from .answers import outcome, same, short, shown
from .decide import Claimed, End, Next
from .oracle import OPERATOR, New, Oracle
from .posts import Posts
from .row import Said, Span

_START_WITHIN_S = 9.0
_ROWS = (
    "SELECT n.id, n.state, d.work, d.step, d.attempt, d.asked, d.fence, d.call_fence, d.suspect,"
    " d.owner, d.best_rank >= 8, d.cancel, d.due_at = 'infinity',"
    " CASE WHEN d.due_at < 'infinity' THEN extract(epoch FROM d.due_at - now())::float8 END"
    " FROM notification n LEFT JOIN due d ON d.shard = n.shard AND d.notification = n.id"
    " WHERE n.id = ANY(%s) AND n.id >= %s"
)
_CLOCKS_S = 0.02
"""What the database's clock and ours may differ in a second or two."""


class Held(Struct):
    """A claim in a relay's hands."""

    assignment: Assignment
    seen: Claimed
    since: Span
    then: Next | End | None = None
    settlement: Settlement | None = None


class World:
    """Relays, providers, the backend and people; what they do, they do to the model as well."""

    def __init__(
        self, settings: Settings, relays: Iterable[str], tell: Callable[[str], None]
    ) -> None:
        """``tell`` writes the story."""
        self.relays = {name: Hand(stand_in(settings)) for name in relays}
        first, *others = self.relays.values()
        for other in others:
            # All relays call the same providers.
            for mine, theirs in ((other.twilio, first.twilio), (other.fcm, first.fcm)):
                mine.__dict__ = theirs.__dict__
            other.pager.__dict__ = first.pager.__dict__
        for hand in self.relays.values():
            caller = hand.parts._caller
            caller._clock = lambda: self.now().high
            caller._jitter = caller._resolver._jitter = lambda: 0.5
        self.backend, self.tell = first, tell
        self._ahead = self._ticked = 0.0

    async def close(self) -> None:
        for hand in self.relays.values():
            await hand.close()

    async def begin(self) -> None:
        """Everything anew; what was there before is in nobody's way."""
        self.backend.rows("WITH d AS (DELETE FROM due) DELETE FROM inbox RETURNING 1")
        self.oracle = Oracle()
        self.hands: dict[str, list[Held]] = {name: [] for name in self.relays}
        self.devices: dict[str, int] = {}
        self.addresses: dict[str, str] = {}
        self.member = person("m")[0]
        self.contacts = [person(), person()]
        # The second Contact has no device.
        await self.backend.device(self.contacts[0][0])
        self.devices[self.contacts[0][0]] = 1
        fakes = self.backend
        fakes.twilio.calls, fakes.twilio.taken, fakes.twilio.can_be_asked = [], [], True
        fakes.fcm.calls, fakes.fcm.taken, fakes.pager.pages = [], [], {}
        self.posts = Posts(self)
        self._ticked = time.monotonic()

    # Time.

    def now(self, *, since: Span | None = None) -> Span:
        """This moment; since an earlier one: somewhere in between."""
        at = time.monotonic() + self._ahead
        return Span(at if since is None else since.low, at)

    def pass_(self, seconds: float = 1.0) -> None:
        """So much has passed since the last time, whatever the machine took."""
        by = seconds - (time.monotonic() - self._ticked)
        self._ticked, self._ahead = time.monotonic(), self._ahead + by
        self.backend._owner.execute(
            "UPDATE due SET due_at = due_at - %(by)s, step_at = step_at - %(by)s,"
            " receipt_until = receipt_until - %(by)s",
            {"by": timedelta(seconds=by)},
        )

    # What relays do.

    async def claim(self, name: str) -> None:
        hand, since = self.relays[name], self.now()
        assignments = await hand.claim()
        now = self.now(since=since)
        claims = [assignment.claim for assignment in assignments]
        seen = self.oracle.claimed(claims, self.devices, now)
        held = [Held(*each, since) for each in zip(assignments, seen, strict=True)]
        held.sort(key=lambda each: each.seen.notification)
        for each in held:
            work, step = Work(each.seen.work).name.lower(), each.seen.step
            self.tell(f"{name} claims {each.seen.notification} ({work}, step {step})")
        self.hands[name] += held

    async def call(self, name: str, held: Held, answer: str) -> None:
        """Do what the claim asks for; a provider that is called does what the answer says."""
        hand, seen, claim = self.relays[name], held.seen, held.assignment.claim
        hand.calm()
        hand.twilio.answer = lambda _: outcome(answer, "twilio")
        hand.fcm.answer = lambda _: outcome(answer, "fcm")
        assignment = Assignment(
            claim=claim,
            claimed_at=held.since.low,
            history=held.assignment.history,
            devices=held.assignment.devices,
            standing=held.assignment.standing,
        )
        calls = self._calls()
        late = self.now().low - held.since.low > _START_WITHIN_S
        settlement = await hand.call(assignment)
        called = self._calls() - calls
        then = self._then(held, answer, late=late)
        wanted = int(self._is_called(held, late=late))
        words = f"{name} takes up {seen.notification}"
        if called:
            words = f"{name} calls for {seen.notification}, step {seen.step}; the provider {answer}"
        self.tell(f"{words}: {short(then)}")
        assert called == wanted, f"{seen.notification}: {called} calls instead of {wanted}"
        assert same(settlement.move, then), f"{seen.notification}: {settlement.move}, not {then}"
        held.settlement, held.then = settlement, then

    def _calls(self) -> int:
        return len(self.backend.twilio.calls) + len(self.backend.fcm.calls)

    def _is_called(self, held: Held, *, late: bool) -> bool:
        seen = held.seen
        if seen.work != Work.SEND or late or rules.without_a_call(seen) is not None:
            return False
        channel = seen.plan.steps[seen.step].channel
        return channel is Channel.SMS or (channel is Channel.PUSH and bool(seen.devices))

    def _then(self, held: Held, answer: str, *, late: bool) -> Next | End:
        seen, claim = held.seen, held.assignment.claim
        if seen.work == Work.ASK:
            return rules.after_look(seen)
        early = rules.without_a_call(seen)
        if early is not None:
            return early
        if seen.work == Work.RESOLVE:
            twilio = self.backend.twilio
            found = any(
                text.reference.step == seen.step and text.sid not in seen.known
                for text in twilio.texts_of(claim.notification)
            )
            return rules.resolved(seen, found=found, answers=twilio.can_be_asked)
        if late:
            return Next(Work.SEND, seen.step, max(0, seen.attempt - 1))
        if seen.plan.steps[seen.step].channel is Channel.PAGE:
            return rules.accepted(seen)
        return rules.after_call(seen, answer)

    async def settle(self, name: str, held: Held) -> None:
        claim, settlement, then = held.assignment.claim, held.settlement, held.then
        assert settlement is not None
        assert then is not None
        one, since = self.oracle.all[claim.notification], self.now()
        is_own = one.row is not None and one.row.owner == claim.token
        self.tell(f"{name} settles {one.name}" + ("" if is_own else ", which is no longer its own"))
        await self.relays[name].settle(settlement)
        if isinstance(then, Next) and then.parked:
            # The notice to the operator is of no Member.
            self.backend.rows(
                "WITH n AS (DELETE FROM notice) DELETE FROM due WHERE notification IN"
                " (SELECT id FROM notification WHERE subject = 'operator') RETURNING 1"
            )
        now = self.now(since=since)
        if settlement.dead:
            self.devices[one.recipient] = 0
        if self.oracle.settled(claim, then, settlement.attempts, now):
            page = self._page(one.member)
            assert page is not None, f"{one.name} was the last hope, and nobody was paged"
            self.tell("the person on call is paged")
            self.oracle.paged(one.id, page, now)

    def _page(self, member: str) -> New | None:
        query = (
            "SELECT n.id, n.plan FROM alert a JOIN notification n ON n.id = a.page"
            " WHERE a.member = %s"
        )
        found = self.backend.rows(query, (member,))
        return (
            New(found[0][0], OPERATOR, "operator.page", plans.decode(bytes(found[0][1])))
            if found
            else None
        )

    async def hear(self, callback: Callback) -> None:
        assert callback.notification is not None
        one, since = self.oracle.all[callback.notification], self.now()
        self.tell(f"{callback.source} says of {one.name}, step {callback.step}: {callback.status}")
        await self.backend.hear(callback)
        rank = rank_of(callback.source, callback.status)
        failed = is_failure(rank)
        result = str(classify_receipt(callback.status, callback.code)) if failed else None
        said, now = Said(callback.fence, failed, result), self.now(since=since)
        self.oracle.heard(one.id, callback.step, said, now, success=is_success(rank))

    async def act(self, what: str, notification: UUID) -> None:
        one, since = self.oracle.all[notification], self.now()
        act = actions.cancel if what == "cancel" else actions.redrive
        connection = await self.backend.gateway()
        done = await act(connection, notification, actor="me", reason="a test")
        now = self.now(since=since)
        rule = self.oracle.cancelled if what == "cancel" else self.oracle.redriven
        wanted = rule(notification, now)
        self.tell(f"somebody asks to {what} {one.name}: {wanted}")
        assert done is not None
        assert done.result == wanted, f"{what} of {one.name}: {done.result}, not {wanted}"

    def taken(self, notification: UUID) -> int:
        """Calls of one notification that providers took."""
        pushes = [r for _, r in self.backend.fcm.taken if r.notification == notification]
        return len(self.backend.twilio.texts_of(notification)) + len(pushes)

    # What must be the same.

    def compare(self) -> None:
        """Due rows and states of the database are those of the model."""
        ids, since = list(self.oracle.all), self.now()
        if not ids:
            return
        rows = {row[0]: row[1:] for row in self.backend.rows(_ROWS, (ids, min(ids)))}
        now = self.now(since=since)
        for one in self.oracle.all.values():
            state, *row, due_in_s = rows[one.id]
            found = None if row[0] is None else shown(tuple(row))
            wanted = None if one.row is None else one.row.seen()
            if found != wanted and found and wanted:
                wrong = {k: (found[k], wanted[k]) for k in found if found[k] != wanted[k]}
                msg = f"{one.name}: (found, wanted) {wrong}"
                raise AssertionError(msg)
            assert found == wanted, f"{one.name} ({one.state}): due row {found}, not {wanted}"
            assert state == one.state, f"{one.name} is {state}, not {one.state}"
            if one.row is not None and due_in_s is not None:
                due, at = one.row.due, now.later(due_in_s)
                near = at.low <= due.high + _CLOCKS_S and due.low <= at.high + _CLOCKS_S
                assert near, f"{one.name} is due in {due_in_s:.1f} s, not {due.low - now.low:.1f}"
