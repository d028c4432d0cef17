"""Every command of ours that a runbook tells to run is run, against the simulated providers."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import verbs
from outbox.settings import NAMES, Settings
from outbox.simulators.environment import environment as simulated_settings
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import Scope
from tests.contract.simulated import in_a_thread
from tests.unit.test_runbooks import RUNBOOKS, commands

from .conftest import environment
from .relay_acted_on import make_note
from .relay_hand import hand

_PROCESSES = (["gateway"], ["relay"])
"""They run until somebody ends them; other tests do."""

_ASKING = {"cancel", "redrive", "hold", "release", "acknowledge"}
_FINE = {0, 1}
"""The answer may be bad news; a wrong use (2) or something that cannot be reached (3) may not."""


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture
def placeholders(runner: asyncio.Runner, settings: Settings, database_url: str) -> dict[str, str]:
    """What a page writes in capitals, and what there is of it."""

    async def note() -> str:
        async with hand(settings) as by_hand:
            return str(await make_note(by_hand))

    with owner_engine(database_url).begin() as connection:
        key = keys.create(connection, name="old", scopes=[Scope.READ])
    made = runner.run(note())
    return {
        "NOTIFICATION_ID": made,
        "EVENT_OR_NOTIFICATION_ID": made,
        "KEY_ID": str(key.id),
        "RECIPIENT_ID": "c_1",
        "ID": "01a22e55-5128-7e4f-a2f8-ff374b43c909",
    }


@pytest.fixture
def surroundings(
    runner: asyncio.Runner, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The settings of an installation whose providers are the simulators."""
    providers = in_a_thread(tmp_path / "ledger.db")
    url = runner.run(providers.__aenter__())
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    values = simulated_settings(base_url=url, folder=tmp_path / "simulated")
    values = {**environment(database_url), **values, "PRUUF_RELAY_METRICS_PORT": "0"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    yield
    runner.run(providers.__aexit__(None, None, None))


def _ours() -> Iterator[tuple[str, list[str]]]:
    seen = set()
    for path in sorted(RUNBOOKS.glob("*.md")):
        for program, *words in commands(path.read_text(encoding="utf-8")):
            if program == "pruuf" and words not in _PROCESSES and str(words) not in seen:
                seen.add(str(words))
                yield path.name, words


@pytest.mark.usefixtures("surroundings")
def test_every_command_of_ours_runs(placeholders: dict[str, str]) -> None:
    wrong, count = [], 0
    for page, words in _ours():
        given = [placeholders.get(word, word) for word in words]
        if words[0] in _ASKING and "--dry-run" not in words:
            # Nobody sits at this terminal to say yes.
            given.append("--yes")
        done = CliRunner().invoke(verbs.app, given, prog_name="pruuf", input="y\n")
        count += 1
        if done.exit_code not in _FINE or not isinstance(done.exception, SystemExit | None):
            wrong.append(f"{page}: pruuf {shlex.join(words)}: {done.exit_code} {done.exception!r}")
    assert not wrong, "\n".join(wrong)
    assert count
