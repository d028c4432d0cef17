"""SIGKILL at each named point of billing: account and Stripe agree afterwards, nothing twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec import Struct

from gateway.cli.supervisor import Process
from tests.faults.billing_points import (
    COMMANDS,
    EVENTS,
    KEPT,
    LISTS,
    LOOKS,
    REPAIRS,
    WEBHOOKS,
)
from tests.faults.billing_ways import RETRY_S, Accounts
from tests.faults.conftest import Begin
from tests.faults.point import Point
from tests.faults.stack import Stack, wait_for
from tests.faults.table import Scenario
from tests.faults.victims import armed, freeze, killed, thaw


@pytest.fixture
def accounts(forked: Stack) -> Accounts:
    """No account yet; gateway and simulators run."""
    _, gateway = forked.start_edge()
    return Accounts(forked, gateway)


@contextmanager
def _victim(stack: Stack, point: Point, *, only: str = "") -> Iterator[None]:
    """A relay with the point armed; to be brought to it within."""
    with armed(stack, point, only=only) as note:
        # Not waited for: whatever is due may bring it to the point before it answers.
        victim = stack.start("victim", "relay")
    yield
    killed(victim, point, note)
    note.unlink()
    # Or on a slow machine the next one would be killed by what this one leaves.
    freeze(stack)


def _recover(accounts: Accounts, row: Scenario) -> None:
    """No relay is left: a sound one does the rest."""
    began = time.monotonic()
    thaw(accounts.stack, lease_s=0.0)
    accounts.stack.start_relay("relay")
    accounts.rest()
    row.recovered_s = time.monotonic() - began


def _opened(accounts: Accounts, names: list[str]) -> Process:
    """Accounts with a trial at Stripe, known to both; and the relay that did it."""
    for name in names:
        accounts.open(name)
    relay = accounts.stack.start_relay("relay")
    accounts.rest()
    return relay


def _judge(accounts: Accounts, row: Scenario) -> None:
    """Stripe's books and ours tell the same; the reconciler and the audit say so, too."""
    wrong = accounts.wrong()
    row.lost = len(wrong)
    assert not wrong, "\n".join(wrong)
    for verb in (("reconcile", "stripe"), ("audit",)):
        name = "-".join(verb)
        code = accounts.stack.start(name, *verb, "--json").wait(60)
        assert code == 0, (accounts.stack.folder / f"{name}.log").read_text()


_EACH = pytest.mark.parametrize(
    "each", [False, pytest.param(True, marks=pytest.mark.long)], ids=["some", "each"]
)
"""Whether all points are met; some are enough for every day."""
_SOME = frozenset(
    {
        "webhook: COMMIT done, nobody told",
        "event: written, not remembered",
        "look: answered, not settled",
    }
)


def _points(points: dict[str, Point], *, each: bool) -> dict[str, Point]:
    return {name: point for name, point in points.items() if each or name in _SOME}


@_EACH
def test_a_kill_between_a_webhook_and_its_effect(
    accounts: Accounts, scenario: Begin, *, each: bool
) -> None:
    stack = accounts.stack
    webhooks, events, looks = (_points(of, each=each) for of in (WEBHOOKS, EVENTS, LOOKS))
    points = {**webhooks, **events, **looks}
    row = scenario(number=1, name=f"killed at {len(points)} points of a webhook and its effect")
    names = {name: f"c{n}" for n, name in enumerate(points)}
    relay = _opened(accounts, list(names.values()))
    relay.kill()
    gateway = accounts.gateway
    told: list[str] = []
    for name, point in webhooks.items():
        gateway.kill()
        with armed(stack, point) as note:
            gateway = stack.start_gateway()
        event = accounts.end_with_period(names[name])
        told.append(event)
        killed(gateway, point, note)
        gateway = stack.start_gateway()
        stored = bool(stack.query(f"SELECT 1 FROM inbox WHERE said = '{event}'"))
        assert stored == (point.truth == KEPT), name
        row.tries += 1
    for name, point in events.items():
        with _victim(stack, point):
            accounts.end_with_period(names[name])
        row.tries += 1
    for name, point in looks.items():
        stack.faults(provider="stripe", rate=0.0, callbacks={"lose": 1.0})
        accounts.end_with_period(names[name])
        stack.calm()
        with _victim(stack, point):
            accounts.thin(names[name])
        row.tries += 1
    accounts.stripe.control("clock", {"advance_s": RETRY_S})
    wait_for(lambda: accounts.took(told), within_s=30, what="Stripe tells again what was not taken")
    _recover(accounts, row)
    # Of what was lost only the thin event told.
    accounts.read_the_list()
    accounts.rest()
    _judge(accounts, row)


class Trial(Struct, frozen=True):
    """A command that comes by a point."""

    point: str
    of: str
    """``opens``: an account begins; ``pays``: an invoice is open, and a good card comes; ``frees``:
    somebody who has paid becomes a Member."""
    only: str = ""


_CHANGED, _BEGUN = "command: answered, not settled", "command: looked, change not begun"
_TRIALS = (
    Trial("command: claimed, nothing read", "opens"),
    Trial("command: read, Stripe not asked", "opens"),
    Trial("command: learned, before COMMIT", "opens"),
    Trial("command: settled, before the next change", "opens"),
    Trial(_BEGUN, "opens", "'start_trial'"),
    *(Trial(_CHANGED, "opens", f"'{do}'") for do in ("create_customer", "start_trial")),
    *(Trial(_CHANGED, "pays", f"'{do}'") for do in ("attach", "make_default", "pay")),
    Trial(_BEGUN, "pays", "'pay'"),
    *(Trial(_CHANGED, "frees", f"'{do}'") for do in ("end_now", "refund", "clear_credit")),
)
_FEW = (
    Trial(_CHANGED, "opens", "'start_trial'"),
    Trial(_CHANGED, "pays", "'pay'"),
    Trial(_CHANGED, "frees", "'end_now'"),
)


def test_a_command_comes_by_each_of_its_points() -> None:
    assert {trial.point for trial in _TRIALS} == set(COMMANDS)
    assert set(_FEW) <= set(_TRIALS)


@_EACH
def test_a_kill_between_a_command_and_stripes_answer(
    accounts: Accounts, scenario: Begin, *, each: bool
) -> None:
    trials = [trial for trial in _TRIALS if each or trial in _FEW]
    row = scenario(number=1, name=f"relay killed at {len(trials)} points of a command of billing")
    known = {f"c{n}": trial for n, trial in enumerate(trials) if trial.of != "opens"}
    relay = _opened(accounts, list(known))
    for name, trial in known.items():
        accounts.card(name, "good" if trial.of == "frees" else "pm_card_chargeCustomerFail")
    accounts.rest()
    accounts.days(31)
    accounts.rest()
    relay.kill()
    charged = accounts.charged()
    for n, trial in enumerate(trials):
        name = f"c{n}"
        with _victim(accounts.stack, COMMANDS[trial.point], only=trial.only):
            if trial.of == "opens":
                accounts.open(name)
            elif trial.of == "pays":
                accounts.card(name)
            else:
                accounts.free(name)
        row.tries += 1
    _recover(accounts, row)
    frees = {name for name, trial in known.items() if trial.of == "frees"}
    assert charged == dict.fromkeys(frees, 1)
    # Each open invoice is paid once, and what was paid goes back once.
    assert accounts.charged() == dict.fromkeys(known, 1)
    assert accounts.refunded() == dict.fromkeys(frees, 1)
    _judge(accounts, row)


@pytest.mark.long
def test_a_kill_while_stripes_list_is_read(accounts: Accounts, scenario: Begin) -> None:
    stack = accounts.stack
    row = scenario(number=1, name=f"relay killed at {len(LISTS)} points of reading Stripe's list")
    names = {name: f"c{n}" for n, name in enumerate(LISTS)}
    _opened(accounts, list(names.values())).kill()
    stack.faults(provider="stripe", rate=0.0, callbacks={"lose": 1.0})
    for name, point in LISTS.items():
        accounts.end_with_period(names[name])
        accounts.let_read()
        with _victim(stack, point):
            pass
        row.tries += 1
    accounts.let_read()
    _recover(accounts, row)
    accounts.read_the_list()
    accounts.rest()
    _judge(accounts, row)


@pytest.mark.long
def test_a_kill_while_differences_are_mended(accounts: Accounts, scenario: Begin) -> None:
    stack = accounts.stack
    row = scenario(number=1, name=f"pruuf reconcile killed at {len(REPAIRS)} points of its repair")
    _opened(accounts, ["c0", "c1"])
    stack.faults(provider="stripe", rate=0.0, callbacks={"lose": 1.0})
    accounts.end_with_period("c0")
    accounts.subscribe_again("c1")
    for point in REPAIRS.values():
        with armed(stack, point) as note:
            victim = stack.start("repair", "reconcile", "stripe", "--repair", "--yes", "--json")
        killed(victim, point, note)
        row.tries += 1
    began = time.monotonic()
    accounts.rest()
    # What was ordered before is under way, or done: the next run sees what is left.
    stack.start("mend", "reconcile", "stripe", "--repair", "--yes", "--json").wait(60)
    accounts.rest()
    row.recovered_s = time.monotonic() - began
    accounts.read_the_list()
    accounts.rest()
    _judge(accounts, row)
