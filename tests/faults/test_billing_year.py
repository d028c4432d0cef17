"""A year of billing in minutes: nobody is charged who must not be, and Stripe and we agree."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psycopg
import pytest
from msgspec import Struct

from gateway.demo.stack import wait_until_answers
from tests.faults.billing_books import Books, history
from tests.faults.billing_people import Town
from tests.faults.billing_year import Year
from tests.faults.conftest import Begin
from tests.faults.moved_time import MovedTime
from tests.faults.nursery import Nursery
from tests.faults.servers import own_server, stack_on
from tests.faults.stack import Stack
from tests.faults.table import Scenario

_THREE_DAYS_MS = 3 * 86_400_000


class Life(Struct, frozen=True, kw_only=True):
    """How long and how wildly a town lives."""

    people: int
    opening: Sequence[int]
    """Days on which accounts are opened."""
    days: Sequence[int]
    """Those that are looked at; time passes in between, too."""
    away: frozenset[int]
    """Days on which Stripe's list cannot be read and nobody is told anything."""
    relays: int
    kill_every: int


Live = Callable[[Life, Scenario], list[str]]


@pytest.fixture
def moved(data_dir: Path) -> MovedTime:
    """A time of this test's own."""
    folder = Path(tempfile.mkdtemp(prefix="time-", dir=data_dir))
    folder.chmod(0o711)
    return MovedTime(folder)


def _live(
    life: Life,
    row: Scenario,
    *,
    data_dir: Path,
    folder: Path,
    moved: MovedTime,
    nursery: Nursery,
    chance: random.Random,
) -> list[str]:
    """All that was wrong."""
    began = time.monotonic()
    with (
        moved.for_servers(),
        own_server(data_dir, "year") as server,
        stack_on(server.url, folder, nursery) as stack,
        psycopg.connect(server.url, autocommit=True) as rows,
    ):
        # Stripe has a clock of its own.
        simulators = stack.start_simulators()
        stack.environ |= moved.environ()
        stack.start_gateway()
        wait_until_answers(f"{stack.simulators}/_sim/health", simulators, folder)
        town = Town(stack, chance, people=life.people, days=len(life.days), opening=life.opening)
        year = Year(stack, moved, town, rows, folder / "held", relays=life.relays)
        late = {"lose": 0.1, "duplicate": 0.2, "delay_ms": _THREE_DAYS_MS, "shuffle": True}
        stack.faults(provider="stripe", rate=0.0, callbacks=late)
        for n, day in enumerate(life.days, 1):
            year.go_to(day, chance.random())
            informed = day not in life.away
            kills = None
            if n % life.kill_every == 0:
                kills = "told" if informed and n // life.kill_every % 2 else "said"
            year.day(day, kills=kills, informed=informed)
            if not n % 10:
                spent = {what: round(took) for what, took in year.took.items()}
                print(f"day {day}: {time.monotonic() - began:.0f} s: {spent}", flush=True)
        year.catch_up()
        wrong = year.wrong + _judged(town, stack, row)
        webhooks = town.stripe.control("stripe/webhooks")
        row.tries, row.lost = year.kills, len(wrong)
        row.duplicated = row.explained = year.told.again
        row.why += (
            f"{life.people} accounts, {life.days[-1] + 1} days; {webhooks['events']} events,"
            f" {webhooks['sent']} webhooks sent, {webhooks['lost']} lost, {webhooks['late']} late,"
            f" {webhooks['twice']} twice; {year.kills} relays killed; {len(wrong)} differences;"
            f" told: {_counted(year.told.count)}; {time.monotonic() - began:.0f} s"
        )
        print(dict(town.did))
        for account in {line.partition(" ")[0].rstrip(":") for line in wrong}:
            print("\n".join(history(stack, account)))
        return wrong


def _judged(town: Town, stack: Stack, row: Scenario) -> list[str]:
    """What is wrong at the end, by Stripe's books, by the reconciler and by the audit."""
    books = Books(town)
    wrong = [*books.wrongly_charged(), *books.differences(stack)]
    for verb in (["reconcile", "stripe"], ["audit"]):
        if stack.start(verb[0], *verb, "--json").wait(300):
            said = (stack.folder / f"{verb[0]}.log").read_text()[-2000:]
            wrong.append(f"pruuf {' '.join(verb)}: {said}")
    charges = [each for charged in books.charges.values() for each in charged]
    assert charges, "nothing was charged: nothing was tried"
    row.why = f"{len(charges)} charges, {sum(each['amount'] for each in charges) / 100:.2f} $; "
    return wrong


def _counted(count: dict[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(count.items()))


@pytest.fixture
def live(
    data_dir: Path,
    tmp_path: Path,
    moved: MovedTime,
    nursery: Nursery,
    chance: random.Random,
) -> Live:
    """Lets people live for some days."""
    return partial(
        _live,
        data_dir=data_dir,
        folder=tmp_path,
        moved=moved,
        nursery=nursery,
        chance=chance,
    )


def test_some_weeks_of_a_few_accounts(live: Live, scenario: Begin) -> None:
    row = scenario(number=1, name="weeks of billing: webhooks late, twice, lost; relays killed")
    life = Life(
        people=12,
        opening=range(3),
        # Hardly anything happens between the first days and the end of the trials.
        days=[0, 1, 2, 24, 28, 29, 30, 31, 32, 33, 34, 36, 38, 41, 44, 45],
        away=frozenset({33}),
        relays=2,
        kill_every=5,
    )
    wrong = live(life, row)
    assert not wrong, "\n".join(wrong)


@pytest.mark.soak
def test_a_year_of_two_thousand_accounts(live: Live, scenario: Begin) -> None:
    row = scenario(number=1, name="a year of billing: webhooks late, twice, lost; relays killed")
    life = Life(
        people=int(os.environ.get("PRUUF_YEAR_ACCOUNTS", "2000")),
        opening=range(120),
        days=range(365),
        away=frozenset(day for day in range(365) if day % 28 in {9, 10, 11}),
        relays=3,
        kill_every=10,
    )
    wrong = live(life, row)
    assert not wrong, "\n".join(wrong)
