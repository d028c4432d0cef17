"""Who may import whom, checked on the syntax tree of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "outbox", "observability", "dashboard")

ALLOWED: dict[str, tuple[str, ...]] = {
    "gateway": ("outbox", "observability"),
    "dashboard": (
        "outbox.settings",
        "outbox.store",
        "outbox.domain",
        "outbox.story",
        "outbox.wording",
        "observability",
    ),
    "observability": (),
    "outbox.domain": (),
    "outbox.store": (
        "outbox.domain",
        "outbox.sealing",
        "outbox.settings",
        "outbox.datafolder",
        # What is counted is what the objectives name.
        "observability",
    ),
    "outbox.providers": ("outbox.domain", "outbox.settings", "observability"),
    "outbox.simulators": (),
    "outbox": ("outbox", "observability"),
}
"""What each part may import besides itself; the longest name that fits decides."""


def _within(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def _part(module: str) -> str:
    return max((part for part in ALLOWED if _within(module, part)), key=len)


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _targets(tree: ast.AST, module: str, *, package: bool) -> Iterator[str]:
    """Every module, or name in a module, that is imported, as an absolute dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + package]
                base = ".".join([*kept, base] if base else kept)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def bad_arrows(root: Path) -> list[str]:
    """Each import against the direction, as ``module -> what it imports``."""
    found = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            module = _module(path, root)
            own = _part(module)
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            for target in _targets(tree, module, package=path.name == "__init__.py"):
                if not any(_within(target, top) for top in PACKAGES) or _within(target, own):
                    continue
                if not any(_within(target, allowed) for allowed in ALLOWED[own]):
                    found.append(f"{module} -> {target}")
    return found


def test_every_import_follows_the_direction() -> None:
    assert bad_arrows(ROOT) == []


def test_every_package_was_looked_at() -> None:
    assert all(list((ROOT / package).rglob("*.py")) for package in PACKAGES)


@pytest.mark.parametrize(
    ("path", "line", "arrow"),
    [
        ("gateway/a.py", "import dashboard.app", "gateway.a -> dashboard.app"),
        ("dashboard/a.py", "from gateway import app", "dashboard.a -> gateway.app"),
        ("dashboard/a.py", "from outbox import sealing", "dashboard.a -> outbox.sealing"),
        ("outbox/relay/a.py", "import gateway", "outbox.relay.a -> gateway"),
        ("outbox/domain/a.py", "from outbox.store import x", "outbox.domain.a -> outbox.store.x"),
        ("outbox/domain/a.py", "from ..store import x", "outbox.domain.a -> outbox.store.x"),
        ("outbox/domain/__init__.py", "from ..store import x", "outbox.domain -> outbox.store.x"),
        ("outbox/store/a.py", "import outbox.relay.lanes", "outbox.store.a -> outbox.relay.lanes"),
        ("outbox/store/a.py", "import outbox.providers", "outbox.store.a -> outbox.providers"),
        ("outbox/providers/a.py", "import outbox.store", "outbox.providers.a -> outbox.store"),
        ("outbox/providers/a.py", "import outbox.relay", "outbox.providers.a -> outbox.relay"),
        ("outbox/simulators/a.py", "import outbox.domain", "outbox.simulators.a -> outbox.domain"),
        ("observability/a.py", "import outbox", "observability.a -> outbox"),
        (
            "outbox/store/a.py",
            "def late():\n    from outbox.relay import lanes",
            "outbox.store.a -> outbox.relay.lanes",
        ),
    ],
)
def test_a_planted_bad_arrow_is_found(tmp_path: Path, path: str, line: str, arrow: str) -> None:
    planted = tmp_path / path
    planted.parent.mkdir(parents=True)
    planted.write_text(line + "\n", encoding="utf-8")

    assert bad_arrows(tmp_path) == [arrow]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("gateway/a.py", "from outbox.relay import process"),
        ("outbox/store/a.py", "from outbox.domain import ids"),
        ("outbox/simulators/a.py", "from . import ledger"),
        ("outbox/relay/a.py", "import outboxes, gateways"),
    ],
)
def test_a_good_arrow_is_left_alone(tmp_path: Path, path: str, line: str) -> None:
    planted = tmp_path / path
    planted.parent.mkdir(parents=True)
    planted.write_text(line + "\n", encoding="utf-8")

    assert bad_arrows(tmp_path) == []
