"""The README names only what exists, and everything that a newcomer needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from gateway.cli.verbs import app
from outbox.settings import NAMES

_ROOT = Path(__file__).resolve().parents[2]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_MAKEFILE = (_ROOT / "Makefile").read_text(encoding="utf-8")
_PYTHON_ONLY = {"PRUUF_URL", "PRUUF_API_KEY"}
"""Of ``pruuf send`` alone."""


def _verbs() -> set[str]:
    group = typer.main.get_command(app)
    found = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {})
        found |= {f"{name} {verb}" for verb in inner} if inner else {name}
    return found


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", _MAKEFILE, re.MULTILINE))


def _code() -> list[str]:
    """All that stands in backticks, outside of blocks."""
    return re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", _README, flags=re.DOTALL | re.MULTILINE)
    )


def test_every_verb_is_named_and_exists() -> None:
    named = set()
    groups = "|".join({verb.partition(" ")[0] for verb in _verbs() if " " in verb})
    form = re.compile(rf"(?:\.venv/bin/)?pruuf ((?:(?:{groups}) )?[a-z]+)")
    for text in _code():
        if (match := form.match(text)) is not None:
            named.add(match[1])
    assert named == _verbs()


def test_every_setting_is_named_and_exists() -> None:
    rows = re.findall(r"^\| (`[A-Z][^|]+) \|", _README, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert listed == {*NAMES, *_PYTHON_ONLY}
    elsewhere = {text for text in _code() if re.fullmatch(r"(?:[A-Z]+_)+[A-Z]+", text)}
    assert elsewhere <= listed


def test_every_target_is_named_with_its_plain_command() -> None:
    rows = dict(re.findall(r"^\| `make ([a-z]+)` \| (.+) \|$", _README, re.MULTILINE))
    assert set(rows) == _targets() - {"help"}
    for target, shown in rows.items():
        if target == "setup":
            continue
        body = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", _MAKEFILE, re.MULTILINE)
        assert body is not None, target
        recipe = body[1].replace("\\\n", " ").replace("$(BIN)", ".venv/bin").replace("$(ARGS)", "")
        lines = [" ".join(line.removeprefix("@").split()) for line in recipe.splitlines()]
        assert re.findall(r"`([^`]+)`", shown) == [line.strip("\t@ ") for line in lines], target


def test_the_set_up_without_make_is_that_of_make() -> None:
    row = re.search(r"^\| `make setup` \| (.+) \|$", _README, re.MULTILINE)
    assert row is not None
    for command in re.findall(r"-m (pip [^`]+)`", row[1]):
        words = command.split()
        assert any(all(word in line for word in words) for line in _MAKEFILE.splitlines()), command


def test_targets_that_the_text_mentions_exist() -> None:
    assert set(re.findall(r"\bmake ([a-z]+)", "\n".join(_code()))) <= _targets()


def test_every_file_that_is_named_exists() -> None:
    paths = [text for text in _code() if re.fullmatch(r"[a-z]+/[\w./-]*\.\w+", text)]
    paths += ["docker-compose.yml", ".env.example", "requirements.lock"]
    assert len(paths) >= 5
    assert [path for path in paths if not (_ROOT / path).exists()] == []


def test_the_shape_of_the_code_is_as_it_is_drawn() -> None:
    drawn = _README.partition("## The shape of the code")[2].partition("```\n")[2]
    drawn = drawn.partition("```")[0]
    parent = ""
    for line in drawn.splitlines():
        for name in re.findall(r"(?:^|\s)([a-z]+/)(?=\s)", line):
            if not line.startswith(" ") and line.startswith(name):
                parent = name
                assert (_ROOT / name).is_dir(), name
            else:
                assert (_ROOT / parent / name).is_dir(), f"{parent}{name}"
    tops = {path.name for path in _ROOT.iterdir() if (path / "__init__.py").exists()}
    assert {name.rstrip("/") for name in re.findall(r"^([a-z]+/)", drawn, re.MULTILINE)} == tops


@pytest.mark.parametrize("word", ["Event", "Claim", "Settle", "Lane", "Receipt", "Redrive"])
def test_the_words_are_explained(word: str) -> None:
    assert f"**{word}**" in _README
