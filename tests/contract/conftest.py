"""What the adapters are tested with: their log events, and a service account of our own."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


class Events(logging.Handler):
    """Every wide event, with its fields; and everything that was logged at all, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.wide: list[tuple[str, dict[str, Any]]] = []
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        self.text += f"{record.getMessage()} {fields}\n"
        if record.name == "pruuf.wide":
            self.wide.append((record.getMessage(), fields))


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """All that is logged on any level during the test."""
    handler, root = Events(), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [handler])
    monkeypatch.setattr(root, "level", logging.DEBUG)
    for name in ("pruuf.wide", "twilio", "google", "urllib3", "firebase_admin"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
    logging.getLogger("pruuf.wide").manager._clear_cache()  # type: ignore[attr-defined]
    return handler


@pytest.fixture(scope="session")
def private_key() -> str:
    """A key that signs assertions for tests."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def write_account(path: Path, *, private_key: str, token_uri: str) -> Path:
    """A service account's file whose tokens come from ``token_uri``."""
    account = {
        "type": "service_account",
        "project_id": "pruuf-test",
        "private_key_id": "of-a-test",
        "private_key": private_key,
        "client_email": "pruuf@pruuf-test.iam.gserviceaccount.com",
        "token_uri": token_uri,
    }
    path.write_bytes(msgspec.json.encode(account))
    return path
