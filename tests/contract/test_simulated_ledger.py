"""The ledger: what it holds, filters and shape, and that no kill takes anything from it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest

from outbox.settings import load
from outbox.simulators.credentials import AUTH_TOKEN, STRIPE_KEY
from outbox.simulators.fcm import PROJECT
from outbox.simulators.google_tokens import issue
from outbox.simulators.magic import number, token
from outbox.simulators.stripe.catalog import PRICE
from outbox.simulators.stripe.webhooks import SECRETS
from outbox.simulators.twilio_messages import ACCOUNT_SID, SENDERS
from tests.contract.simulated import WITHIN_S, InAProcess, Simulated, client, simulators

A = "+12025550100"
KEYS = ["provider", "id", "to", "text", "reference", "accepted_at", "answered"]


@pytest.fixture
async def sim(tmp_path: Path) -> AsyncIterator[Simulated]:
    async with simulators(tmp_path) as simulated:
        yield simulated


async def push(sim: Simulated, to: str) -> httpx.Response:
    message = {
        "token": to,
        "notification": {"title": "Missed check-in", "body": "of Ann"},
        "data": {"notification_id": "n-1"},
    }
    headers = {"Authorization": f"Bearer {issue(time.time())}"}
    path = f"/v1/projects/{PROJECT}/messages:send"
    return await sim.http.post(path, json={"message": message}, headers=headers)


async def page(sim: Simulated, key: str) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return await sim.http.post("/_sim/operator", json={"summary": "Nobody."}, headers=headers)


async def answered(sim: Simulated, count: int, **filters: str) -> list[dict[str, object]]:
    """The lines, as soon as so many answers are noted: that is committed after they went out."""
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        lines = await sim.ledger(**filters)
        if sum(line["answered"] for line in lines) >= count:
            return lines
    msg = f"not {count} answers in time"
    raise AssertionError(msg)


async def test_a_line_has_exactly_the_fields_of_the_contract(sim: Simulated) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    sid = (await sim.text(A, Body='"Ref"\nK7Q2 – ü')).json()["sid"]
    name = (await push(sim, "any")).json()["name"]
    await page(sim, "p-1")
    lines = await answered(sim, 3)
    assert [list(line) for line in lines] == [KEYS] * 3
    assert [[line[key] for key in KEYS[:5]] for line in lines] == [
        ["twilio", sid, A, '"Ref"\nK7Q2 – ü', ""],
        ["fcm", name, "any", "Missed check-in: of Ann", "n-1"],
        ["operator", "p-1", "operator", "Nobody.", "p-1"],
    ]
    times = [str(line["accepted_at"]) for line in lines]
    assert all(time.endswith("Z") for time in times)
    moments = [datetime.fromisoformat(time) for time in times]
    assert before <= moments[0] <= moments[1] <= moments[2] <= datetime.now(UTC)


async def test_the_reference_is_that_of_the_status_callback(sim: Simulated) -> None:
    await sim.text(A, StatusCallback="http://127.0.0.1:9/x?a=1&ref=a-b_c%3D#rc=0")
    assert [line["reference"] for line in await sim.ledger()] == ["a-b_c="]


async def test_filters(sim: Simulated) -> None:
    await sim.text(A)
    await sim.text("+12025550101")
    await push(sim, "any")
    await asyncio.sleep(0.002)
    since = datetime.now(UTC).isoformat()
    await asyncio.sleep(0.002)
    await sim.text(A)
    assert len(await sim.ledger()) == 4
    assert len(await sim.ledger(provider="twilio")) == 3
    assert len(await sim.ledger(provider="twilio", to=A)) == 2
    assert len(await sim.ledger(since=since)) == 1
    assert len(await sim.ledger(since="2999-01-01T00:00:00Z")) == 0
    assert len(await sim.ledger(to=A, since=since, provider="fcm")) == 0
    # As people type it: a plus sign that is not escaped.
    unescaped = await sim.http.get(f"/_sim/ledger?to={A}")
    assert len(unescaped.content.splitlines()) == 2


@pytest.mark.parametrize("query", ["until=1", "since=yesterday", "since=2026-11-24T08:00:00"])
async def test_a_filter_that_makes_no_sense_is_refused(sim: Simulated, query: str) -> None:
    assert (await sim.http.get(f"/_sim/ledger?{query}")).status_code == 400


async def test_an_empty_ledger_is_no_line(sim: Simulated) -> None:
    assert (await sim.http.get("/_sim/ledger")).content == b""


async def test_what_was_refused_is_not_in_it(sim: Simulated) -> None:
    await sim.text(number("landline", 0))
    await push(sim, token("unregistered", 0))
    await sim.http.post("/_sim/operator", content=b"{")
    assert await sim.ledger() == []


async def test_a_page_is_one_line_whatever_its_repetitions(sim: Simulated) -> None:
    pages = await asyncio.gather(*(page(sim, "p-1") for _ in range(10)), page(sim, "p-2"))
    assert {answer.status_code for answer in pages} == {200}
    assert sorted(str(line["id"]) for line in await sim.ledger()) == ["p-1", "p-2"]


async def test_many_at_once_are_all_there_in_the_order_of_acceptance(sim: Simulated) -> None:
    texts = await asyncio.gather(*(sim.text(number("delivered", n)) for n in range(200)))
    lines = await answered(sim, 200)
    assert {line["id"] for line in lines} == {text.json()["sid"] for text in texts}
    times = [str(line["accepted_at"]) for line in lines]
    assert times == sorted(times)


async def test_nothing_is_answered_before_it_is_committed(
    sim: Simulated,
    tmp_path: Path,
) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        calls = {
            asyncio.create_task(call) for call in (sim.text(A), push(sim, "a"), page(sim, "p"))
        }
        done, _ = await asyncio.wait(calls, timeout=0.5)
        assert not done
        blocker.rollback()
        assert {call.result().status_code for call in (await asyncio.wait(calls))[0]} == {200, 201}
    assert len(await sim.ledger()) == 3


async def text_on(sim: Simulated, known: list[str], goal: int, enough: asyncio.Event) -> None:
    """Text until the simulator is gone."""
    while True:
        known.append((await sim.text(A)).json()["sid"])
        if len(known) >= goal:
            enough.set()


async def test_every_answer_that_was_given_survives_a_kill(tmp_path: Path) -> None:
    known: list[str] = []
    with InAProcess(tmp_path / "ledger.sqlite") as process:
        for _ in range(3):
            async with client(process.start()) as http:
                sim = Simulated(http)
                assert {str(line["id"]) for line in await sim.ledger()} >= set(known)

                enough, goal = asyncio.Event(), len(known) + 100
                send = partial(text_on, sim, known, goal, enough)
                senders = [asyncio.create_task(send()) for _ in range(8)]
                async with asyncio.timeout(WITHIN_S):
                    await enough.wait()
                process.end(signal.SIGKILL)
                ended = await asyncio.gather(*senders, return_exceptions=True)
                assert all(isinstance(end, httpx.TransportError) for end in ended)
        async with client(process.start()) as http:
            sim = Simulated(http)
            lines = await sim.ledger()
            ids = [str(line["id"]) for line in lines]
            assert set(ids) >= set(known)
            assert len(ids) == len(set(ids)) <= len(known) + 3 * 8
            # The state of a message is a matter of the clock: a restart does not change it.
            assert (await sim.message(known[0])).json()["status"] == "delivered"
        assert process.end(signal.SIGTERM) == 0


async def test_a_restart_forgets_no_page(tmp_path: Path) -> None:
    with InAProcess(tmp_path / "ledger.sqlite") as process:
        for number_of_signal in (signal.SIGKILL, signal.SIGTERM):
            async with client(process.start()) as http:
                assert (await page(Simulated(http), "p-1")).status_code == 200
            process.end(number_of_signal)
        async with client(process.start()) as http:
            assert [line["id"] for line in await Simulated(http).ledger()] == ["p-1"]
        process.end(signal.SIGINT)


def test_print_env_points_a_gateway_at_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "outbox.simulators", "--port", "9911", "--print-env"]
    command += ["--ledger", str(tmp_path / "sim" / "ledger.sqlite")]
    printed = [subprocess.check_output(command, text=True) for _ in range(2)]
    # The same again: the key does not change under those who use it.
    assert printed[0] == printed[1]
    values = dict(line.split("=", 1) for line in printed[0].splitlines())
    account = Path(values["GOOGLE_APPLICATION_CREDENTIALS"])
    assert values == {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_FROM": ",".join(SENDERS),
        "TWILIO_API_BASE": "http://127.0.0.1:9911",
        "GOOGLE_APPLICATION_CREDENTIALS": str(account),
        "FCM_API_BASE": "http://127.0.0.1:9911",
        "STRIPE_API_KEY": STRIPE_KEY,
        "STRIPE_API_BASE": "http://127.0.0.1:9911",
        "STRIPE_WEBHOOK_SECRETS": ",".join(SECRETS),
        "STRIPE_PRICE_ID": PRICE,
    }
    assert account.is_absolute()
    assert account.stat().st_mode & 0o777 == 0o600
    assert msgspec.json.decode(account.read_bytes())["token_uri"] == "http://127.0.0.1:9911/token"
    settings = load(values, cwd=tmp_path)
    assert settings.require_twilio().senders == SENDERS
    assert settings.require_fcm().credentials == account
    assert not (tmp_path / "sim" / "ledger.sqlite").exists()
    assert [path.name for path in account.parent.iterdir()] == ["service-account.json"]


def test_the_simulators_load_nothing_else_of_the_project() -> None:
    """Independent they are only while they share no code with what they judge."""
    script = (
        "import sys, outbox.simulators.__main__, outbox.simulators.magic_page\n"
        "parts = {n for n in sys.modules if n.split('.')[0] in "
        "('gateway', 'outbox', 'observability', 'dashboard', 'runbooks')}\n"
        "print(*sorted(n for n in parts if not n.startswith('outbox.simulators')))"
    )
    printed = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert printed.split() == ["outbox"]
