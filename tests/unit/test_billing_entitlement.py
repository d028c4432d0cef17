"""The table of all cases is complete, unambiguous, and what the function says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product

from outbox.domain.billing_entitlement import (
    ANY,
    FACTORS,
    Case,
    Granted,
    Paying,
    cases,
    entitlement,
)
from outbox.domain.billing_facts import Known, Role, Wish
from outbox.domain.billing_status import Status

_NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
_LATELY, _LONG_AGO, _SOON = (_NOW + timedelta(days=days) for days in (-2, -60, 2))


def _since(value: str) -> datetime | None:
    return {"no": None, "lately": _LATELY, "long_ago": _LONG_AGO}[value]


def _granted(when: Mapping[str, str]) -> Granted:
    member_at = _LONG_AGO if when["was_member"] == "yes" or when["role"] == "member" else None
    known = Known(
        role=Role(when["role"]),
        role_at=_LATELY,
        opened_at=_since(when["opened"]),
        member_at=member_at,
        member_by="ann" if member_at else None,
        member_why="checks in" if member_at else None,
        wish=Wish(when["wish"]),
        wish_at=_LATELY,
    )
    if when["status"] == "none":
        return entitlement(known, None, _NOW)
    paying = Paying(
        status=Status(when["status"]),
        trial_end=_SOON,
        period_end=_SOON if when["period"] == "open" else _LATELY,
        ends=when["ends"] == "yes",
        failing_since=_since(when["failing"]),
        ended_unpaid=when["ended_unpaid"] == "yes",
    )
    return entitlement(known, paying, _NOW)


def _every() -> Iterator[dict[str, str]]:
    for values in product(*FACTORS.values()):
        yield dict(zip(FACTORS, values, strict=True))


def _fits(case: Case, when: Mapping[str, str]) -> bool:
    return all(wanted in {ANY, when[name]} for name, wanted in case.when.items())


def test_every_case_has_one_row_and_the_function_says_it() -> None:
    for when in _every():
        fitting = [case for case in cases() if _fits(case, when)]
        assert len(fitting) == 1, when
        granted = _granted(when)
        assert (granted.entitlement, granted.reason) == (fitting[0].entitlement, fitting[0].reason)


def test_no_row_is_for_nothing() -> None:
    for case in cases():
        assert all(value in {ANY, *FACTORS[name]} for name, value in case.when.items())
        assert any(_fits(case, when) for when in _every())


def test_it_tells_when_it_ends() -> None:
    contact = Known(role=Role.CONTACT, role_at=_LATELY, opened_at=_LATELY)
    trial = entitlement(contact, None, _NOW)
    assert trial.until == _LATELY + timedelta(days=30)
    assert trial.until is not None
    assert entitlement(contact, None, trial.until).entitlement == "lapsed"
    failing = Paying(status=Status.PAST_DUE, failing_since=_LATELY)
    grace = entitlement(contact, failing, _NOW)
    assert grace.until == _LATELY + timedelta(days=14)
    assert grace.until is not None
    assert entitlement(contact, failing, grace.until).entitlement == "lapsed"
