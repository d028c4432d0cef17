"""Policy files: what they change, and how exactly a mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from outbox.domain.plans import Channel
from outbox.domain.policy import PolicyError, default_policy, parse
from outbox.domain.rates import Rates, rate_of, sender_type
from outbox.settings import SettingsError, load

_KEY = "A" * 43


def test_what_is_left_out_stays_as_it_is() -> None:
    policy = parse('["checkin.confirmed"]\nquiet_hours = "21:00-08:00"\n')
    assert policy.plan("checkin.confirmed").quiet_hours == "21:00-08:00"
    default = default_policy()
    assert policy.plan("checkin.confirmed").steps == default.plan("checkin.confirmed").steps
    assert policy.plan("checkin.missed") == default.plan("checkin.missed")
    assert policy.rates is None
    assert policy.shares == default.shares
    assert parse("") == default


def test_steps_are_replaced_whole() -> None:
    policy = parse('["checkin.confirmed"]\nsteps = [{ channel = "push" }]\n')
    assert [step.channel for step in policy.plan("checkin.confirmed").steps] == [Channel.PUSH]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "text that is not TOML"),
        ("[checkin]", "a table [checkin]; accepted: "),
        ('"checkin.missed" = 5', '["checkin.missed"] that is no table'),
        ('["checkin.missed"]\nsteps = []', "no step"),
        ('["checkin.missed"]\nlane = "bulk"', "accepted: safety"),
        ('["checkin.missed"]\nlane = "fast"', "the lane fast; accepted: safety, codes"),
        ('["checkin.missed"]\non_unknown = "resend_if_absent"', "prefers a duplicate"),
        ('["checkin.missed"]\nquiet_hours = "21:00-08:00"', "an alert knows none"),
        ('["checkin.missed"]\nexpires_after_s = 60', "less than its steps take"),
        ('["checkin.missed"]\ncolour = "red"', "with colour; accepted: lane, "),
        ('["checkin.missed"]\nsteps = [{ channel = "fax" }]', ".steps[0].channel"),
        ('["checkin.missed"]\nsteps = [{ channel = "page" }]', "a step by page"),
        ('["checkin.missed"]\nsteps = [{ channel = "sms", receipt_within_s = 0 }]', ".steps[0]"),
        ('["checkin.confirmed"]\nquiet_hours = "9-17"', "like 21:00-08:00"),
        ('["checkin.confirmed"]\nquiet_hours = "08:00-08:00"', "like 21:00-08:00"),
        ('["verification.code"]\nsteps = [{ channel = "push" }]', "sms, which proves the number"),
        ('["verification.code"]\nexpires_after_s = 601', "a code holds for 600"),
        ('["device.proof"]\nsteps = [{ channel = "sms" }]', "push, which it proves"),
        ('["device.proof"]\nlane = "safety"', "accepted: bulk"),
        ("[rates]\nlong_code = 0", "[rates].long_code"),
        ("[rates]\nlong_cod = 1", "long_cod"),
        ("[shares]\nsafety = 0.5\ncodes = 0.2\nother = 0.2", "not 1 together"),
        ('[senders]\n"+12025550123" = "fast"', "[senders]"),
        ('[codes]\ncountries = "US"', "[codes].countries"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_a_bad_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('["checkin.missed"]\nlane = "bulk"\n')
    env = {
        "DATABASE_URL": "postgresql://db/pruuf",
        "PRUUF_KEYS": _KEY,
        "PRUUF_LOOKUP_KEYS": _KEY,
        "PRUUF_POLICY": "policy.toml",
    }
    with pytest.raises(SettingsError) as caught:
        load(env, cwd=tmp_path)
    [problem] = caught.value.problems
    assert problem.name == "PRUUF_POLICY"
    assert "policy.toml" in problem.got
    assert "the lane bulk" in problem.got
    with pytest.raises(SettingsError, match="cannot be read"):
        load({**env, "PRUUF_POLICY": "other.toml"}, cwd=tmp_path)
    (tmp_path / "policy.toml").write_text('["checkin.missed"]\nexpires_after_s = 7200\n')
    assert load(env, cwd=tmp_path).policy.plan("checkin.missed").expires_after_s == 7200


@pytest.mark.parametrize(
    ("sender", "kind", "rate"),
    [
        ("+12025550123", "long_code", 1.0),
        ("+18885550123", "toll_free", 3.0),
        ("+18335550123", "toll_free", 3.0),
        ("72975", "short_code", 100.0),
        ("MG0123456789abcdef0123456789abcdef", "messaging_service", 100.0),
        ("+447700900123", "long_code", 1.0),
    ],
)
def test_a_sender_has_the_rate_of_its_type(sender: str, kind: str, rate: float) -> None:
    policy = default_policy()
    assert sender_type(sender) == kind
    assert rate_of(sender, rates=policy.rates_for(stand_in=False), own={}) == rate
    assert rate_of(sender, rates=policy.rates_for(stand_in=False), own={sender: 7.0}) == 7.0
    # A server that stands in for the provider has no rate of its own.
    assert rate_of(sender, rates=policy.rates_for(stand_in=True), own={}) is None
    given = parse("[rates]\nlong_code = 9")
    assert given.rates_for(stand_in=True) == Rates(long_code=9.0)
