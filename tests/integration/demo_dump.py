"""What a thief of the database reads: a dump of it, searched for what a demonstration put in."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from outbox.store.embedded import EmbeddedPostgres
from outbox.store.postgres_binaries import binaries

_NAMES = {b"Bob", b"Carol", b"Erin", b"Gus", b"Hana", b"Alice", b"Dan", b"Frida", b"Ivan"}
"""Of its scenes; the others are numbered."""
_NUMBERED = re.compile(rb"(?:Contact|Member|Invitee) a?\d+")
_CODE = re.compile(r"\b[A-Z]\d-\d{4}\b")
_WORDS = re.compile(rb"[^\s\x00-\x1f\"',:;{}()\[\]\\|]+")
_HEX = re.compile(rb"(?:[0-9a-f]{2}){4,}")
_BY_CHANCE = 4
"""Bytes: what is no longer may stand in a cipher text by chance."""
_BEGINS = 25
"""So much of a text is that of its kind, and no other one's."""


def in_clear(folder: Path) -> set[bytes]:
    """What `found` finds of a demonstration; its server and its simulators are in ``folder``."""
    sent = list(_sent(folder))
    assert len(sent) > 2_000
    return found(_dump(folder), sent)


def found(dumped: bytes, sent: Iterable[tuple[str, str]]) -> set[bytes]:
    """Numbers, tokens, names, codes and texts that a dump shows, as they are or as bytes.

    ``sent``: to whom, and which text.
    """
    opened = b" ".join(bytes.fromhex(each.decode()) for each in _HEX.findall(dumped))
    words, texts = _NAMES.copy(), set()
    for to, text in sent:
        words |= {to.encode(), to.lstrip("+").encode()}
        words |= {code.encode() for code in _CODE.findall(text)}
        texts.add(text[:_BEGINS].encode())
    long = {word for word in words if len(word) > _BY_CHANCE}
    shown = words & set(_WORDS.findall(dumped)) | long & set(_WORDS.findall(opened))
    for part in (dumped, opened):
        shown |= {text for text in texts if text in part} | set(_NUMBERED.findall(part))
    return shown


def _dump(folder: Path) -> bytes:
    server = EmbeddedPostgres(folder)
    url, _ = server.ensure()
    try:
        done = subprocess.run(
            [binaries() / "pg_dump", "--data-only", url],
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
        )
    finally:
        server.leave()
    assert done.stdout.count(b"\nCOPY ") > 30
    return done.stdout


def _sent(folder: Path) -> Iterator[tuple[str, str]]:
    path = folder / "simulator" / "ledger.sqlite"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as ledger:
        yield from ledger.execute(
            "SELECT \"to\", text FROM accepted WHERE provider IN ('twilio', 'fcm')"
        )
    ledger.close()
