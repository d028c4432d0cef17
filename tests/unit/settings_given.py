"""Settings as the tests give them, and what comes of that."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from outbox.settings import Problem, Settings, SettingsError, load

SID = "AC" + "0123456789abcdef" * 2
SERVICE = "MG" + "0123456789abcdef" * 2
API_KEY = "SK" + "0123456789abcdef" * 2
KEY = base64.urlsafe_b64encode(bytes(range(200, 232))).decode()
OTHER = base64.b64encode(bytes(range(200, 232))).decode()
DATABASE = {
    "DATABASE_URL": "postgresql://pruuf:hushhush@db-1,db-2:5433/pruuf?target_session_attrs=any",
    "PRUUF_KEYS": KEY,
    "PRUUF_LOOKUP_KEYS": KEY,
}
TWILIO = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "t-new, t-old", "TWILIO_FROM": "72975"}
ACCOUNT = {
    "type": "service_account",
    "project_id": "p",
    "private_key": "k",
    "client_email": "e",
    "token_uri": "u",
}


def read(cwd: Path, **env: str) -> Settings:
    return load({**DATABASE, **env}, cwd=cwd)


def problems(cwd: Path, env: Mapping[str, str]) -> list[Problem]:
    with pytest.raises(SettingsError) as caught:
        load(env, cwd=cwd)
    return caught.value.problems
