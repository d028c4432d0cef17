"""What is decided about each column is said in one way, and the page says the same."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from outbox.domain.audit import CHECKS, Figures, Found, gathered, offender
from outbox.domain.audited import OUTSIDE, WHOLE, decisions, page

_PAGE = Path(__file__).parents[2] / "runbooks" / "reference" / "audit.md"
_WAYS = {"root", "rule", "bound", "sealed", "refused"}


def test_the_page_is_made_from_the_decisions() -> None:
    assert _PAGE.read_text(encoding="utf-8") == page()


def test_each_decision_is_a_way_or_a_reason() -> None:
    for table, columns in decisions().items():
        for column, how in columns.items():
            reason = how.removeprefix(OUTSIDE) if how.startswith(OUTSIDE) else ""
            assert how in _WAYS or len(reason) > 10, f"{table}.{column}"
            assert how.startswith(OUTSIDE) or table != WHOLE


def test_every_check_says_what_is_wrong_and_what_to_do() -> None:
    for name, check in CHECKS.items():
        assert check.why, name
        assert check.step, name
        assert offender(name, "1", table="event").why == check.why


def test_a_kind_that_lost_one_is_not_balanced() -> None:
    whole = {
        "kind": "checkin.missed",
        "day": date(2026, 11, 23),
        "accepted": 5,
        "final": 3,
        "pending": 1,
    }
    assert Figures(parked=1, **whole).balanced  # type: ignore[arg-type]
    assert not Figures(parked=0, **whole).balanced  # type: ignore[arg-type]
    assert not Figures(parked=2, **whole).balanced  # type: ignore[arg-type]


def test_the_same_check_of_several_shards_is_one_cause() -> None:
    found = [
        Found("overdue", 3, (offender("overdue", "c"), offender("overdue", "a"))),
        Found("open_without_due", 1, (offender("open_without_due", "x"),)),
        Found("overdue", 2, (offender("overdue", "b"), offender("overdue", "a"))),
    ]
    first, second = gathered(found, most=2)
    assert (first.check, first.number) == ("open_without_due", 1)
    assert (second.check, second.number) == ("overdue", 5)
    assert [each.id for each in second.named] == ["a", "b"]
