"""Every alert has its page, every link lands, every command of ours can be given as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gateway.cli import verbs
from observability import pages
from observability.slos import definitions

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
_ALERT_PAGES = sorted(set(definitions().alerts.values()))
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*\Z")


def commands(text: str) -> Iterator[list[str]]:
    """Commands of the shell blocks of a page, without settings before them."""
    for block in re.findall(r"^ *```sh\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
        for line in block.strip().splitlines():
            words = shlex.split(line)
            while words and _ASSIGNMENT.match(words[0]):
                words.pop(0)
            yield words


def parse(command: Any, name: str, words: list[str]) -> None:  # noqa: ANN401 - Typer's own
    """Take words as the command line would; raises for what it would refuse."""
    if not hasattr(command, "resolve_command"):
        command.make_context(name, words)
        return
    context = command.make_context(name, list(words))
    _, found, rest = command.resolve_command(context, list(words))
    assert found is not None
    parse(found, words[0], rest)


@pytest.mark.parametrize(("alert", "runbook"), sorted(definitions().alerts.items()))
def test_every_alert_has_its_page(alert: str, runbook: str) -> None:
    text = (RUNBOOKS / runbook).read_text(encoding="utf-8")
    assert f"`{alert}`" in text.partition("\n\n")[2].partition("\n")[0]


@pytest.mark.parametrize("name", _ALERT_PAGES)
def test_a_page_says_what_somebody_woken_needs(name: str) -> None:
    text = (RUNBOOKS / name).read_text(encoding="utf-8")
    named = set(
        re.findall(r"`(\w+)`", next(x for x in text.splitlines() if x.startswith("Alerts")))
    )
    assert named == {alert for alert, page in definitions().alerts.items() if page == name}


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.name)
def test_every_page_has_the_same_parts(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "**What it means for people.**" in text
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["See it", "Do first", "Escalate", "Over when"]
    assert list(commands(text))


def test_no_page_of_an_alert_is_left_over() -> None:
    found = {
        path.name
        for path in RUNBOOKS.glob("*.md")
        if path.read_text(encoding="utf-8").split("\n")[2].startswith("Alerts: ")
    }
    assert found == set(_ALERT_PAGES)


@pytest.mark.parametrize(
    "path", sorted(RUNBOOKS.rglob("*.md")), ids=lambda path: str(path.relative_to(RUNBOOKS))
)
def test_every_link_lands(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).resolve().exists(), target


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.name)
def test_every_command_of_ours_can_be_given(path: Path) -> None:
    app = typer.main.get_command(verbs.app)
    for program, *words in commands(path.read_text(encoding="utf-8")):
        assert program in {"pruuf", "psql", "curl", "pg_basebackup", "pg_ctl", "touch"}
        if program == "pruuf":
            parse(app, "pruuf", words)


def test_a_command_that_is_not_there_would_be_seen() -> None:
    app = typer.main.get_command(verbs.app)
    for words, said in (
        (["sloo"], "No such command"),
        (["redrive", "--everything"], "No such option"),
        (["search", "--limit", "many"], "valid integer"),
    ):
        with pytest.raises(Exception, match=said):
            parse(app, "pruuf", words)


@pytest.mark.parametrize("name", sorted(pages.pages()))
def test_the_reference_pages_are_made_from_the_definitions(name: str) -> None:
    committed = (pages.FOLDER / name).read_text(encoding="utf-8")
    assert committed == pages.pages()[name], "write it anew: python -m observability.pages"
