"""Facts and Stripe's events in any order, any number of times, come to the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from outbox.domain.billing_apply import Seen, Verdict, answered, judge
from outbox.domain.billing_facts import Fact, Known, Role, Wish, after
from outbox.domain.billing_objects import Subscription
from outbox.domain.billing_status import MOVES, TERMINAL, Change, Status, change

_START = datetime(2026, 11, 23, 9, tzinfo=UTC)

_moments = st.integers(0, 4).map(lambda minutes: _START + timedelta(minutes=minutes))
_facts = st.builds(
    Fact,
    account=st.just("c_1"),
    type=st.just("billing.test"),
    at=_moments,
    by=st.sampled_from(["ann", "ben"]),
    why=st.sampled_from(["one", "two"]),
    role=st.none() | st.sampled_from(Role),
    wish=st.none() | st.sampled_from(Wish),
    opens=st.booleans(),
)


@given(st.data(), st.lists(_facts, max_size=8))
def test_facts_in_any_order_with_repetitions_make_one_account(
    data: st.DataObject, facts: list[Fact]
) -> None:
    again = data.draw(st.lists(st.sampled_from(facts), max_size=4)) if facts else []
    shuffled = data.draw(st.permutations([*facts, *again]))
    assert reduce(after, shuffled, Known()) == reduce(after, facts, Known())


@given(st.lists(_facts, min_size=1, max_size=8))
def test_whoever_was_a_member_is_free_ever_after(facts: list[Fact]) -> None:
    known = reduce(after, facts, Known())
    assert (known.member_at is not None) == any(fact.role is Role.MEMBER for fact in facts)
    assert not (known.pays and known.member_at is not None)


def _subscription(status: Status, number: int) -> Subscription:
    over = status in TERMINAL
    return Subscription(
        id="sub_1",
        customer="cus_1",
        status=status,
        price="price_1",
        trial_end=None,
        period_start=_START,
        period_end=_START + timedelta(days=number),
        cancel_at_period_end=False,
        collection_paused=False,
        canceled_at=None,
        ended_at=_START if over else None,
        end_reason=None,
        latest_invoice=None,
        default_method=None,
        created_at=_START,
    )


@st.composite
def _lives(draw: st.DrawFn) -> list[tuple[str, datetime, Subscription]]:
    """Events of one subscription as Stripe made them; several may share a second."""
    status, second = Status.TRIALING, 0
    found = [("evt_0", _START, _subscription(status, 0))]
    for number in range(1, draw(st.integers(1, 8))):
        if status in TERMINAL:
            break
        second += draw(st.sampled_from([0, 0, 1, 60]))
        if draw(st.booleans()):
            status = draw(st.sampled_from(MOVES[status]))
        at = _START + timedelta(seconds=second)
        found.append((f"evt_{number}", at, _subscription(status, number)))
    return found


@given(st.data(), _lives())
def test_a_lifes_events_in_any_order_with_repetitions_make_one_subscription(
    data: st.DataObject, life: list[tuple[str, datetime, Subscription]]
) -> None:
    again = data.draw(st.lists(st.sampled_from(life), max_size=4))
    truth = life[-1][2]
    kept: Subscription | None = None
    seen = Seen()
    asked, is_known = 0, False
    for event, at, told in data.draw(st.permutations([*life, *again])):
        verdict = judge(kept, seen, told, event=event, at=at)
        if verdict is Verdict.APPLY:
            kept, seen = told, seen.with_event(event, at)
        elif verdict is Verdict.ASK:
            asked, seen = asked + 1, seen.asking(event, at)
        # What is asked is answered at some time, with what is so by then.
        if asked and data.draw(st.booleans()):
            asked = 0
            if answered(kept, truth):
                kept, seen, is_known = truth, seen.with_answer(), True
        # What is late says nothing of how it is now: not for a moment it is as it was before.
        assert kept == truth or not is_known
    if asked and answered(kept, truth):
        kept = truth
    assert kept == truth


def test_a_final_state_stays_whatever_comes() -> None:
    over = _subscription(Status.CANCELED, 1)
    for status in set(Status) - {Status.CANCELED}:
        told = _subscription(status, 2)
        later = _START + timedelta(hours=1)
        verdict = judge(over, Seen(_START, ("evt_1",)), told, event="evt_2", at=later)
        assert verdict is Verdict.STALE
        if status not in TERMINAL:
            assert not answered(over, told)


def test_after_a_commands_answer_what_differs_is_asked_for() -> None:
    before = _subscription(Status.ACTIVE, 1)
    seen = Seen(_START, ("evt_1",)).with_answer()
    told = replace(before, cancel_at_period_end=True)
    later = _START + timedelta(hours=1)
    assert judge(before, seen, told, event="evt_2", at=later) is Verdict.ASK
    assert judge(before, seen, before, event="evt_2", at=later) is Verdict.APPLY


def test_a_state_that_is_not_known_is_not_applied() -> None:
    told = replace(_subscription(Status.ACTIVE, 1), status="dreaming")
    assert judge(None, Seen(), told, event="evt_1", at=_START) is Verdict.UNKNOWN
    assert not answered(None, told)


def test_the_machine_knows_steps_leaps_and_what_cannot_be() -> None:
    assert change(None, Status.ACTIVE) is Change.SAME
    assert change(Status.TRIALING, Status.PAUSED) is Change.STEP
    assert change(Status.TRIALING, Status.UNPAID) is Change.LEAP
    assert change(Status.ACTIVE, Status.INCOMPLETE) is Change.IMPOSSIBLE
    for over in TERMINAL:
        assert MOVES[over] == ()
        assert {change(over, each) for each in set(Status) - {over}} == {Change.IMPOSSIBLE}
