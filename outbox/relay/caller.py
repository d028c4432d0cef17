"""One claim becomes one settlement: decides what to call, calls it, and names what follows.

No database connection is held here: a slow provider must not hold what others need.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from outbox.domain import content as contents
from outbox.domain import decide
from outbox.domain.content import Content
from outbox.domain.decide import Final, Move, Standing
from outbox.domain.history import History
from outbox.domain.outcomes import SENT
from outbox.domain.plans import Channel, Plan
from outbox.domain.policy import NOTICE
from outbox.domain.quiet import wait_s as quiet_for_s
from outbox.domain.states import State, Work
from outbox.relay import faults, untold
from outbox.relay.clock import START_WITHIN_S, Clock
from outbox.relay.gate import Gate
from outbox.relay.paging import page
from outbox.relay.ports import Pager
from outbox.relay.pushing import GONE, TOPICS, Pusher, combined
from outbox.relay.resolver import Resolver
from outbox.relay.texting import Blocked, Texter
from outbox.relay.topics import Follower
from outbox.relay.untold import CallError
from outbox.sealing import Sealer
from outbox.store.claims import Claim
from outbox.store.recipients import Device
from outbox.store.settle import Attempt, Settlement

_PROVIDERS = {
    Channel.STRIPE: "stripe",
    Channel.SMS: "twilio",
    Channel.PUSH: "fcm",
    Channel.TOPIC: TOPICS,
    Channel.TOPICS: TOPICS,
}
_QUARANTINED_AT = 5
"""Claims in a row whose relay died with them: nobody makes the call any more."""


class Assignment(Struct, frozen=True, kw_only=True):
    """A claim with all that was read for it."""

    claim: Claim
    claimed_at: float
    """By the clock that runs on while the process is stopped; taken before the claim was sent."""
    history: History = History()
    devices: tuple[Device, ...] = ()
    """To push to; for the topics step those that want its address to follow its topic."""
    standing: Standing | None = None
    """Of the alert that an all-clear takes back; null when it is gone, or there is none."""


class Commands(Protocol):
    """Carries out what is not told to anybody, by rules of its own."""

    async def carry_out(self, claim: Claim, content: Content) -> Settlement | Blocked:
        """Do what the claim asks for."""
        ...

    async def untrue(self, claim: Claim, history: History) -> Final | None:
        """The end of a notice that says what is not so any more; null: it still is."""
        ...


class Caller:
    """Calls providers; shared by all lanes of a relay."""

    def __init__(  # noqa: PLR0913 - all that it may call is passed in
        self,
        *,
        texter: Texter,
        pusher: Pusher,
        follower: Follower,
        pager: Pager,
        commands: Commands,
        gate: Gate,
        sealer: Sealer,
        resolver: Resolver,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        """``clock`` must not stop with the process."""
        self._texter = texter
        self._pusher = pusher
        self._follower = follower
        self._pager = pager
        self._commands = commands
        self._gate = gate
        self._sealer = sealer
        self._resolver = resolver
        self._clock = clock
        self._jitter = jitter

    async def run(self, assignment: Assignment) -> Settlement:
        """Do what the claim asks for; raises only for a fault of our own."""
        settlement = faults.still_suspect(await self._run(assignment))
        if untold.is_untold(assignment.claim, assignment.history):
            return self._traced(settlement, untold.RELAY_ENDED)
        return settlement

    def failed(self, claim: Claim, error: Exception) -> Settlement:
        """What follows from a fault of our own that `run` raised."""
        settlement = faults.failed(claim)
        if isinstance(error, CallError):
            return self._traced(settlement, untold.CODE_FAILED)
        return settlement

    def _traced(self, settlement: Settlement, why: str) -> Settlement:
        plan = faults.plan_of(settlement.claim)
        channel = plan.steps[min(settlement.claim.step, len(plan.steps) - 1)].channel
        provider = _PROVIDERS.get(channel, str(channel))
        return untold.with_trace(settlement, channel=str(channel), provider=provider, why=why)

    async def _run(self, assignment: Assignment) -> Settlement:
        claim, history = assignment.claim, assignment.history
        plan = faults.plan_of(claim)
        if claim.work == Work.ASK:
            return await self._resolver.look(claim, plan, history)
        if (early := self._without_a_call(assignment, plan)) is not None:
            return Settlement(claim=claim, move=early)
        if claim.kind.startswith(NOTICE) and (stale := await self._commands.untrue(claim, history)):
            return Settlement(claim=claim, move=stale)
        content = self._content(claim)
        command = plan.steps[claim.step].channel is Channel.STRIPE
        if claim.work == Work.RESOLVE and not command:
            return await self._resolver.resolve(claim, plan, content, history)
        if (later := self._not_now(assignment, plan, content)) is not None:
            return Settlement(claim=claim, move=later)
        try:
            return await self._send(assignment, plan, content)
        except Exception as error:
            raise CallError from error

    def _not_now(self, assignment: Assignment, plan: Plan, content: Content) -> Move | None:
        claim = assignment.claim
        if self._clock() - assignment.claimed_at > START_WITHIN_S:
            # The lease may end before the call does: give it back, the try does not count.
            return Move(work=Work.SEND, step=claim.step, attempt=max(0, claim.attempt - 1))
        quiet_s = quiet_for_s(plan.quiet_hours, content.timezone, datetime.now(UTC))
        if not quiet_s:
            return None
        # Spread over some minutes: a million quiet ones must not wake at once.
        delay_s = quiet_s + self._jitter() * 600.0
        return Move(work=Work.SEND, step=claim.step, attempt=0, delay_s=delay_s, anew=True)

    async def _send(self, assignment: Assignment, plan: Plan, content: Content) -> Settlement:  # noqa: PLR0911 - one return for each channel
        claim = assignment.claim
        match plan.steps[claim.step].channel:
            case Channel.SMS:
                return await self._text(assignment, plan, content)
            case Channel.PUSH:
                return await self._push(assignment, plan, content)
            case Channel.PAGE:
                attempt = await page(self._pager, claim, content)
                return self._settled(assignment, plan, [attempt])
            case Channel.TOPIC:
                pushed = await self._pusher.send_to_topic(claim, plan, content)
                if isinstance(pushed, Blocked):
                    return self._blocked(assignment, plan, pushed)
                return self._settled(assignment, plan, pushed)
            case Channel.TOPICS:
                return await self._follow(assignment, plan, content)
            case Channel.STRIPE:
                done = await self._commands.carry_out(claim, content)
                return self._blocked(assignment, plan, done) if isinstance(done, Blocked) else done

    def _without_a_call(  # noqa: PLR0911 - one return for each reason
        self,
        assignment: Assignment,
        plan: Plan,
    ) -> Move | Final | None:
        claim, history = assignment.claim, assignment.history
        unknown = claim.work == Work.RESOLVE
        if claim.cancel and not unknown:
            return decide.after_cancel(history)
        if claim.work == Work.HOLD:
            return decide.after_hold(assignment.standing)
        if claim.step >= len(plan.steps):
            return Final(state=State.UNDELIVERABLE, reason=history.why())
        if claim.suspect >= _QUARANTINED_AT:
            return faults.failed(claim).move
        # What must become so at another's does not become wrong with time: it waits for a person.
        if claim.expired and plan.steps[claim.step].channel is not Channel.STRIPE:
            return Final(state=State.EXPIRED, reason="outcome_unknown" if unknown else "too_late")
        repeats_sms = claim.step > 0 and plan.steps[claim.step].channel is Channel.SMS
        if not unknown and repeats_sms and history.number_is_unusable():
            return decide.next_step(plan, claim.step, history.why())
        return None

    def _content(self, claim: Claim) -> Content:
        return contents.decode(
            self._sealer.unseal(
                claim.content,
                table="notification",
                row=str(claim.notification),
                field="content",
            ),
        )

    async def _text(self, assignment: Assignment, plan: Plan, content: Content) -> Settlement:
        texted = await self._texter.send(assignment.claim, plan, content, assignment.history)
        if isinstance(texted, Blocked):
            return self._blocked(assignment, plan, texted)
        return self._settled(
            assignment,
            plan,
            [texted.attempt],
            another_sender=texted.another_sender,
            repairable=texted.repairable,
        )

    async def _push(self, assignment: Assignment, plan: Plan, content: Content) -> Settlement:
        claim = assignment.claim
        pushed = await self._pusher.send(claim, plan, content, assignment.devices)
        if isinstance(pushed, Blocked):
            return self._blocked(assignment, plan, pushed)
        return self._settled(assignment, plan, pushed)

    async def _follow(self, assignment: Assignment, plan: Plan, content: Content) -> Settlement:
        claim, devices = assignment.claim, assignment.devices
        followed = await self._follower.carry_out(
            claim,
            content,
            assignment.history,
            wanted=bool(devices),
        )
        if followed is None:
            final = Final(state=State.DELIVERED, proof="accepted", channel=Channel.TOPICS)
            return Settlement(claim=claim, move=final)
        if isinstance(followed, Blocked):
            return self._blocked(assignment, plan, followed)
        if followed.outcome.result in SENT:
            # Not the end yet: the next claim looks whether this is still what is wanted.
            move = Move(work=Work.SEND, step=claim.step, attempt=claim.attempt)
            return Settlement(claim=claim, move=move, attempts=(followed,))
        settlement = self._settled(assignment, plan, [followed])
        # They all have the one address that the call was about.
        return replace(settlement, dead=devices if settlement.dead else ())

    def _settled(
        self,
        assignment: Assignment,
        plan: Plan,
        attempts: list[Attempt],
        *,
        another_sender: bool = False,
        repairable: bool = True,
    ) -> Settlement:
        claim = assignment.claim
        move = decide.after_call(
            plan,
            step=claim.step,
            attempt=claim.attempt,
            step_age_s=claim.step_age_s,
            outcome=combined([attempt.outcome for attempt in attempts]),
            jitter=self._jitter,
            another_sender=another_sender,
            repairable=repairable,
        )
        gone = {a.ordinal for a in attempts if a.outcome.code == GONE}
        dead = tuple(d for ordinal, d in enumerate(assignment.devices) if ordinal in gone)
        return Settlement(claim=claim, move=move, attempts=tuple(attempts), dead=dead)

    def _blocked(self, assignment: Assignment, plan: Plan, blocked: Blocked) -> Settlement:
        claim, verdict = assignment.claim, blocked.verdict
        move, nowhere = decide.after_blocked(
            plan,
            step=claim.step,
            attempt=claim.attempt,
            step_age_s=claim.step_age_s,
            is_down=verdict.is_down,
            wait_s=verdict.wait_s,
            jitter=self._jitter,
            usable=self._usable,
        )
        attempts: tuple[Attempt, ...] = ()
        if move.step != claim.step:
            attempts = (blocked.skip(plan.steps[claim.step].channel),)
        return Settlement(
            claim=claim,
            move=move,
            attempts=attempts,
            blocked=verdict.why,
            page=blocked.nowhere if nowhere else None,
        )

    def _usable(self, channel: Channel) -> bool:
        provider = _PROVIDERS.get(channel)
        return provider is None or not self._gate.is_down(provider)
