"""What the hand-written reference pages name is there: paths, settings, Stripe's events, links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from gateway.cli import verbs
from outbox.domain.billing_webhooks import table
from outbox.settings import NAMES
from tests.unit.test_runbooks import RUNBOOKS, commands, parse

_PAGES = [RUNBOOKS / "reference" / name for name in ("callbacks.md", "setup.md")]
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _code(path: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", path.read_text(encoding="utf-8"))


def _anchors(path: Path) -> set[str]:
    headings = _HEADING.findall(path.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("path", _PAGES, ids=lambda path: path.name)
def test_every_path_is_a_route(path: Path) -> None:
    page = RUNBOOKS.joinpath("reference", "api.md").read_text(encoding="utf-8")
    # A test holds that table to the routes.
    routes = set(re.findall(r"^\| `[A-Z]+ (/[^`]+)` \|", page, re.MULTILINE))
    named = {
        word.split(" ")[-1] for word in _code(path) if re.match(r"(?:[A-Z]+ )?/(?:v1|web)", word)
    }
    assert named
    assert named <= routes


@pytest.mark.parametrize("path", _PAGES, ids=lambda path: path.name)
def test_every_setting_exists(path: Path) -> None:
    named = {word.partition("=")[0] for word in _code(path)}
    known = {word for word in named if re.fullmatch(r"(?:PRUUF|TWILIO|STRIPE|FCM)_[A-Z_]+", word)}
    assert known
    assert known <= set(NAMES)


def test_stripe_is_asked_for_the_events_that_are_needed() -> None:
    needed = {name for name, row in table().items() if row.need in {"must", "should"}}
    text = RUNBOOKS.joinpath("reference", "setup.md").read_text(encoding="utf-8")
    listed = text.partition("It needs these events:")[2].partition("\n4. ")[0]
    assert set(re.findall(r"`([^`]+)`", listed)) == needed


@pytest.mark.parametrize("path", _PAGES, ids=lambda path: path.name)
def test_every_command_can_be_given(path: Path) -> None:
    app = typer.main.get_command(verbs.app)
    for program, *words in commands(path.read_text(encoding="utf-8")):
        assert program == "pruuf"
        parse(app, "pruuf", words)


@pytest.mark.parametrize(
    "path", sorted(RUNBOOKS.rglob("*.md")), ids=lambda path: str(path.relative_to(RUNBOOKS))
)
def test_every_part_of_a_page_that_is_linked_to_is_there(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", path.read_text(encoding="utf-8"))
    for target, anchor in links:
        page = (path.parent / target).resolve() if target else path
        if "://" not in target:
            assert anchor in _anchors(page), f"{target}#{anchor}"
