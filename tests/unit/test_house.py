"""The house keeps its rules: small modules, known entries, a lock that works everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("gateway", "outbox", "observability", "dashboard", "tests")
LONGEST = 300
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==\S+(?: ; .+)? \\$")


def _lock() -> list[str]:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_module_is_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    }

    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


@pytest.mark.parametrize(
    "entry",
    [
        ".ci/run",
        ".dockerignore",
        ".env.example",
        "Dockerfile",
        "LICENSE",
        "Makefile",
        "README.md",
        "dashboard/py.typed",
        "docker-compose.yml",
        "gateway/py.typed",
        "observability/py.typed",
        "outbox/py.typed",
        "pyproject.toml",
        "requirements.lock",
    ],
)
def test_the_entry_is_there(entry: str) -> None:
    assert (ROOT / entry).is_file()


def test_the_lock_names_no_index_and_no_place_of_a_machine() -> None:
    places = re.compile(r"https?:|file:|index-url|find-links|(?:^|\s)/\w| @ ", re.IGNORECASE)

    assert [line for line in _lock() if places.search(line)] == []


def test_every_entry_of_the_lock_is_pinned_and_hashed() -> None:
    lines = _lock()
    entries = [number for number, line in enumerate(lines) if re.match(r"[A-Za-z0-9]", line)]

    assert entries
    assert [lines[number] for number in entries if not PINNED.match(lines[number])] == []
    assert [
        lines[number]
        for number in entries
        if not lines[number + 1].startswith("    --hash=sha256:")
    ] == []


def test_the_lock_holds_every_declared_dependency() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*declared["project"]["dependencies"], *declared["dependency-groups"]["dev"]]
    names = {_canonical(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in wanted}
    locked = {_canonical(match["name"]) for line in _lock() if (match := PINNED.match(line))}

    assert names - locked == set()


def test_the_example_of_settings_names_every_setting_and_holds_no_secret() -> None:
    from outbox import settings  # noqa: PLC0415 - only this test needs it

    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))

    assert set(settings.NAMES) - named == set()
    assert re.findall(r"^[^#\s].*$", text, re.MULTILINE) == []
