"""Alerts know nothing of billing: what delivers them imports none of it, not by any detour."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

_WIRING = frozenset(
    {
        "outbox.providers.wiring",
        "outbox.relay.parts",
        "outbox.relay.process",
        "outbox.relay.ways",
        "outbox.settings",
        "outbox.provider_settings",
    }
)
"""Where everything is put together: nothing is decided there."""

_ALERTS = (
    "outbox.domain.alerts",
    "outbox.domain.decide",
    "outbox.domain.plans",
    "outbox.domain.policy",
    "outbox.domain.texts",
    "outbox.drafts",
    "outbox.providers.fcm",
    "outbox.providers.operator",
    "outbox.providers.twilio",
    "outbox.relay.applier",
    "outbox.relay.caller",
    "outbox.relay.gate",
    "outbox.relay.lanes",
    "outbox.relay.pushing",
    "outbox.relay.resolver",
    "outbox.relay.settler",
    "outbox.relay.texting",
    "outbox.relay.unreachable",
    "outbox.store.alerts",
    "outbox.store.all_clear",
    "outbox.store.claims",
    "outbox.store.inbox",
    "outbox.store.intake",
    "outbox.store.receipts",
    "outbox.store.settle",
)
"""The way of an alert from its acceptance to its end."""


def _path(module: str) -> Path | None:
    base = ROOT / Path(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _imports(module: str) -> set[str]:
    path = _path(module)
    assert path is not None, module
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {each for each in found if _path(each) is not None}


def _is_billing(module: str) -> bool:
    return any(word in module.rpartition(".")[2] for word in ("billing", "stripe", "accounts"))


_FOR_PEOPLE = frozenset({"outbox.domain.masking", "outbox.providers.codes_page"})
"""What people look at: a page of the reference, and bodies of callbacks."""

_READS = re.compile(
    r"\b(?:from|join|into|update|delete\s+from)\s+"
    r"(?:account|subscription|invoice|payment_method|reversal|billing_[a-z]+)\b",
    re.IGNORECASE,
)
_STATEMENT = re.compile(r'statement\(\s*"([a-z_]+)"')
_SQL = ROOT / "outbox" / "store" / "sql"


def _all() -> Iterator[str]:
    """Every module of the outbox that is none of billing, and puts nothing together."""
    for path in sorted((ROOT / "outbox").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        aside = (
            module in _WIRING | _FOR_PEOPLE or ".simulators" in module or ".migrations" in module
        )
        if not aside and not _is_billing(module):
            yield module


def _reached(start: str) -> Iterator[tuple[str, ...]]:
    """Ways over imports to every module that is reached; not on through what is wired."""
    seen = {start}
    open_: list[tuple[str, ...]] = [(start,)]
    while open_:
        way = open_.pop()
        yield way
        for following in _imports(way[-1]) - seen - _WIRING:
            seen.add(following)
            open_.append((*way, following))


@pytest.mark.parametrize("start", _ALERTS)
def test_the_way_of_an_alert_imports_nothing_of_billing(start: str) -> None:
    for way in _reached(start):
        assert not _is_billing(way[-1]), " -> ".join(way)


def test_nothing_but_billing_imports_billing() -> None:
    modules = list(_all())
    # A module that is new is among them, whatever it is for.
    assert set(_ALERTS) <= set(modules)
    assert len(modules) > 100
    for module in modules:
        for following in _imports(module) - _WIRING:
            assert not _is_billing(following), f"{module} -> {following}"


def _said(module: str) -> Iterator[tuple[str, str]]:
    """The statements of a module: in its own text, and in the files that it names."""
    path = _path(module)
    assert path is not None
    text = path.read_text(encoding="utf-8")
    # Literals that stand beside each other are one statement.
    yield module, re.sub(r'"\s+f?"', "", text)
    for name in _STATEMENT.findall(text):
        yield f"{name}.sql", (_SQL / f"{name}.sql").read_text(encoding="utf-8")


@pytest.mark.parametrize("start", _ALERTS)
def test_no_statement_on_the_way_of_an_alert_reads_billing(start: str) -> None:
    for way in _reached(start):
        for name, text in _said(way[-1]):
            found = _READS.search(text)
            assert found is None, f"{name}: {found[0]}"


def test_the_search_finds_what_is_there() -> None:
    assert any(_is_billing(each) for each in _imports("outbox.relay.parts"))
    assert "outbox.domain.decide" in _imports("outbox.relay.caller")
    read = [text for _, text in _said("outbox.store.billing_findings") if _READS.search(text)]
    assert len(read) > 1
    assert {name for name, _ in _said("outbox.store.claims")} > {"outbox.store.claims"}
