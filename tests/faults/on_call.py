"""Whoever is on call: what page *Now* shows them, and a runbook, followed as it stands."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from html import unescape
from unittest.mock import patch

import psycopg
from msgspec import Struct
from streamlit.testing.v1 import AppTest

from dashboard import frame, readings
from tests.faults.stack import Stack
from tests.unit.test_runbooks import RUNBOOKS

_APP = "from dashboard import now\nnow.page()"
_SAYS = re.compile(r'<p class="p-say p-(\w+)"><i>.</i>(.*?)</p>')
_LINK = re.compile(r' <a href="([^"]+)">[^<]+</a>')
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"([A-Z_]+)=(\S*)\Z")

_OPEN = re.compile(r"\b(ID|PID|[A-Z]+_(ID|SENDER))\b")
"""What is to be put in; `DATABASE_URL` is the shell's."""

_ASKING = {"cancel", "redrive", "reconcile"}
_RUNNING = {"relay", "gateway"}
_FINE = {0, 1}
"""The news may be bad; but it was no wrong use, and everything was reached."""


class Said(Struct, frozen=True):
    """A sentence that stands out on page *Now*."""

    tone: str
    """``bad``: it wakes somebody; ``look``: it does not; ``good``."""
    text: str
    links: tuple[str, ...]


def now_says(stack: Stack) -> list[Said]:
    """What page *Now* says of what fires, the worst first."""
    with patch.dict(os.environ, stack.environ):
        # Settings, and what was read lately, are kept as long as the process lives.
        for kept in (frame.settings, readings.of):
            kept.cache_clear()
        shown = AppTest.from_string(_APP, default_timeout=60).run()
    readings.engine(stack.database_url).dispose()
    assert not shown.exception
    drawn = "".join(each.proto.body for each in shown.main if each.type == "html")
    return [
        Said(tone, unescape(_LINK.sub("", text)), tuple(map(unescape, _LINK.findall(text))))
        for tone, text in _SAYS.findall(drawn)
    ]


class Command(Struct, frozen=True):
    """One command of a page."""

    section: str
    environ: Mapping[str, str]
    words: list[str]


def commands_of(page: str) -> Iterator[Command]:
    """Every command of a runbook, in the order in which they stand there."""
    text = (RUNBOOKS / page).read_text(encoding="utf-8")
    _, *parts = _SECTION.split(text)
    for section, body in zip(parts[::2], parts[1::2], strict=True):
        for block in re.findall(r"^ *```sh\n(.*?)^ *```$", body, re.DOTALL | re.MULTILINE):
            for line in block.strip().splitlines():
                words, given = shlex.split(line), {}
                while words and (found := _ASSIGNMENT.match(words[0])):
                    given[found[1]] = found[2]
                    words.pop(0)
                yield Command(section, given, words)


class Guide:
    """One runbook, followed from its top to its end."""

    def __init__(self, stack: Stack, page: str, filled: Mapping[str, str] | None = None) -> None:
        """``filled``: what stands for the words in capitals; a command with others is left out."""
        self._stack = stack
        self._filled = filled or {}
        self._commands = list(commands_of(page))
        self._number = 0
        self.page = page

    def see(self) -> str:
        """Look, as the page says; what all of it said."""
        return "".join(self._follow("See it", _FINE))

    def do(self, *, only: str = "") -> str:
        """Do what the page says, in its order; ``only``: commands that begin so."""
        return "".join(self._follow("Do first", _FINE, only=only))

    def is_over(self) -> None:
        """What the page says how one knows that it is over: every command says so."""
        list(self._follow("Over when", {0}))

    def _follow(self, section: str, fine: set[int], *, only: str = "") -> Iterator[str]:
        for command in self._commands:
            words = [self._fill(word) for word in command.words]
            left = any(_OPEN.search(word) for word in words)
            if command.section != section or left or not shlex.join(words).startswith(only):
                continue
            if words[0] == "psql":
                yield self._ask(words[words.index("-c") + 1])
            elif words[0] == "pruuf":
                yield self._run(words[1:], command.environ, fine)

    def _ask(self, query: str) -> str:
        with psycopg.connect(self._stack.database_url, autocommit=True) as connection:
            return f"{connection.execute(query.encode()).fetchall()}\n"

    def _run(self, words: list[str], given: Mapping[str, str], fine: set[int]) -> str:
        if words[0] in _RUNNING:
            self._start(words[0], given)
            return ""
        if words[0] in _ASKING and "--dry-run" not in words and words[-1] != "stripe":
            # Nobody sits at this terminal to say yes.
            words = [*words, "--yes"]
        self._number += 1
        name = f"{self.page}-{self._number}"
        done = self._stack.start(name, *words)
        code = done.wait(60)
        said = (self._stack.folder / f"{name}.log").read_text(encoding="utf-8")
        assert code in fine, f"{self.page}: pruuf {shlex.join(words)}: {code}\n{said}"
        return said

    def _start(self, verb: str, given: Mapping[str, str]) -> None:
        values = {name: self._fill(value) for name, value in given.items()}
        before = dict(self._stack.environ)
        self._stack.environ |= values
        if verb == "relay":
            self._stack.start_relay(f"{verb}-again-{self._number}")
        else:
            self._stack.start_gateway()
        self._stack.environ = before

    def _fill(self, value: str) -> str:
        for word, filled in self._filled.items():
            value = re.sub(rf"\b{word}\b", filled, value)
        return value
