"""Arithmetic of objectives, and what the evaluator makes of counts and readings."""

from __future__ import annotations

from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability import judging
from observability.burn import Counts, budget_left, burn_rate, burning, counts
from observability.judging import Firing, hidden, judge
from observability.slos import Slo, definitions, parse
from outbox.relay import measuring
from outbox.store.connect import TRANSACTION_TIMEOUT_S

_D = definitions()
_NUMBERS = st.integers(min_value=0, max_value=10**7)
_SLOS = st.sampled_from(sorted(_D.slo))


@given(key=_SLOS, good=_NUMBERS, bad=_NUMBERS, faults=_NUMBERS)
def test_rates_and_budgets_agree(key: str, good: int, bad: int, faults: int) -> None:
    slo, window = _D.slo[key], Counts(good, bad, faults)
    left = budget_left(slo, window)
    assert left <= 1.0
    if window.rate is not None and window.raw is not None:
        assert 0.0 <= window.raw <= window.rate <= 1.0
        if slo.allowed:
            assert (left >= 0) == (burn_rate(slo, window) <= 1.0), (
                "a budget is overdrawn exactly by what burns faster than allowed"
            )
    if not bad:
        assert (burn_rate(slo, window), left) == (0.0, 1.0)
    elif not slo.allowed:
        assert (burn_rate(slo, window), left) == (float("inf"), 0.0)


@given(key=_SLOS, good=_NUMBERS, bad=_NUMBERS, more=st.integers(min_value=1, max_value=1000))
def test_more_that_is_bad_never_looks_better(key: str, good: int, bad: int, more: int) -> None:
    slo = _D.slo[key]
    before, after = Counts(good, bad), Counts(good, bad + more)
    assert burn_rate(slo, after) >= burn_rate(slo, before)
    assert budget_left(slo, after) <= budget_left(slo, before)


@pytest.mark.parametrize("key", sorted(_D.slo))
def test_what_the_file_does_not_know_counts_as_bad(key: str) -> None:
    assert counts(_D.slo[key], {"something new": 2}).bad == 2


def test_recipients_faults_are_in_the_raw_rate_only() -> None:
    found = counts(_D.slo["sms"], {"delivered": 98, "unknown": 1, "recipient": 1, "late": 1})
    assert (found.good, found.bad, found.faults) == (98, 1, 1)
    assert found.rate == pytest.approx(98 / 99)
    assert found.raw == pytest.approx(0.98)


def _windows(**bad: int) -> dict[int, Counts]:
    of = {f"s{seconds}": seconds for seconds in _D.windows_s}
    return {seconds: Counts(1000, bad.get(name, 0)) for name, seconds in of.items()}


def _severity(slo: Slo, **bad: int) -> str | None:
    found = burning(_D, slo, _windows(**bad))
    return None if found is None else found[0].severity


def test_both_windows_of_a_pair_must_burn() -> None:
    slo = _D.slo["sms"]
    assert _severity(slo, s3600=20, s300=20) == "page"
    assert _severity(slo, s3600=20) is None
    assert _severity(slo, s300=20) is None
    assert _severity(slo, s259200=3, s21600=3) == "ticket"


def test_a_few_are_no_trend() -> None:
    slo = _D.slo["sms"]
    few = {seconds: Counts(1, slo.least - 1) for seconds in _D.windows_s}
    assert burning(_D, slo, few) is None
    enough = {seconds: Counts(1, slo.least) for seconds in _D.windows_s}
    assert burning(_D, slo, enough) is not None


def test_one_alert_that_reached_nobody_pages_by_itself() -> None:
    counted = {"alerts": {900: {"unreached": 1}, _D.window_s: {"reached": 10**6, "unreached": 1}}}
    judged = judge(_D, counted, [])
    assert [(each.name, each.severity) for each in judged.firing] == [("MissedCheckinBad", "page")]
    alerts = next(each for each in judged.standings if each.key == "alerts")
    assert alerts.met
    assert alerts.budget_left == pytest.approx(0.99, abs=0.001)


def test_nothing_counted_is_unknown_and_not_zero() -> None:
    for each in judge(_D, {}, []).standings:
        assert (each.rate, each.raw, each.met) == (None, None, True)


def test_conditions_hold_beyond_their_bound_only() -> None:
    readings = [
        ("relays", "", 0.0),
        ("gateways", "", 1.0),
        ("oldest_due_s", "safety", 16.0),
        ("oldest_due_s", "bulk", 9999.0),
        ("canary_age_s", "push", 900.0),
        ("parked", "", 3.0),
    ]
    judged = judge(_D, {}, readings)
    assert [each.key for each in judged.firing] == [
        ("RelayDead", ""),
        ("SafetyLaneStuck", "safety"),
        ("Parked", ""),
    ]
    # Without a relay everything waits: that need not be told.
    assert hidden(_D, judged.firing) == {("SafetyLaneStuck", "safety")}


def test_what_one_provider_causes_hides_nothing_of_another() -> None:
    def fired(name: str, label: str = "") -> Firing:
        return Firing(name=name, label=label, title="", severity="page", runbook="", detail="")

    canaries = [fired("CanaryDead", "sms"), fired("CanaryDead", "push")]
    burning_webhooks = fired("WebhooksBurning")
    assert hidden(_D, [fired("ProviderDown", "twilio"), *canaries, burning_webhooks]) == {
        ("CanaryDead", "sms")
    }


def test_one_cause_is_one_page() -> None:
    counted = {"alerts": {seconds: {"unreached": 12} for seconds in (900, *_D.windows_s)}}
    firing = judge(_D, counted, []).firing
    assert [each.name for each in firing] == ["MissedCheckinBurning", "MissedCheckinBad"]
    assert hidden(_D, firing) == {("MissedCheckinBurning", "")}


def test_nothing_hides_that_somebody_was_not_reached_or_that_money_is_wrong() -> None:
    hides = {each for found in _D.follow.values() for names in found.values() for each in names}
    assert (
        not {
            "MissedCheckinBad",
            "SafetyUnresolved",
            "BillingBad",
            "AuditFailed",
            "PartitionsMissing",
        }
        & hides
    )
    assert {
        cause
        for cause, found in _D.follow.items()
        if "MissedCheckinBurning" in [each for names in found.values() for each in names]
    } == {"MissedCheckinBad"}


def test_a_burn_rate_may_tell_of_what_is_over_for_as_long_as_its_figures_are_under_way() -> None:
    minute_s = 60.0
    within_s = TRANSACTION_TIMEOUT_S + 5 + minute_s + measuring.Measuring.every_s * 1.25
    assert within_s <= judging._COUNTING_S
    firing = judge(_D, {"sms": {s: {"unsent": 9} for s in _D.windows_s}}, []).firing
    (texts,) = firing
    assert texts.settles_s == 300 + judging._COUNTING_S + 300
    assert texts.detail == "9 unsent of 9 in 60 min, 1,000× too many"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'faults = ["recipient"]', b'faults = ["delivered"]', "no outcome"),
        (b'any_bad_within_s = 3600\nbad_title = "Billing went wrong"\n', b"", "without a budget"),
        (b'bad_title = "Billing went wrong"\n', b"", "both or neither"),
        (b'measure = "parked"', b'measure = "parking"', "no measure parking"),
        (b"above = 15\n", b"above = 15\nbelow = 3\n", "one of above and below"),
        (b'"Parked"]', b'"Parking"]', "which is no alert"),
        (b'hides = ["CanaryDead/sms"]', b'hides = ["Sms"]', "which is no alert"),
        (b'hides = ["CanaryDead/sms"]', b'hides = ["ProviderDown"]', "these hide each other"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(old: bytes, new: bytes, message: str) -> None:
    text = resources.files("observability").joinpath("slos.toml").read_bytes()
    assert old in text
    with pytest.raises(ValueError, match=message):
        parse(text.replace(old, new))
