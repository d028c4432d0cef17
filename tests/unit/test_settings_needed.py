"""Settings that one process needs: asked for by name at its start, keys and files looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from outbox.settings import SettingsError, load
from tests.unit.settings_given import (
    ACCOUNT,
    API_KEY,
    DATABASE,
    KEY,
    SERVICE,
    SID,
    TWILIO,
    problems,
    read,
)


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ({}, ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"]),
        (TWILIO | {"TWILIO_AUTH_TOKEN": ""}, ["TWILIO_AUTH_TOKEN"]),
        (TWILIO | {"TWILIO_API_KEY": API_KEY}, ["TWILIO_API_SECRET"]),
        (TWILIO | {"TWILIO_API_SECRET": "s"}, ["TWILIO_API_KEY"]),
    ],
)
def test_twilio_is_asked_for_when_needed(
    tmp_path: Path,
    env: dict[str, str],
    missing: list[str],
) -> None:
    settings = read(tmp_path, **env)
    with pytest.raises(SettingsError) as caught:
        settings.require_twilio()
    assert [problem.name for problem in caught.value.problems] == missing


def test_twilio_complete(tmp_path: Path) -> None:
    plain = read(tmp_path, **TWILIO).require_twilio()
    assert (plain.username, plain.password) == (SID, "t-new")
    assert plain.senders == ("72975",)
    keyed = read(
        tmp_path,
        **TWILIO,
        TWILIO_API_KEY=API_KEY,
        TWILIO_API_SECRET="s",
        TWILIO_MESSAGING_SERVICE_SID=SERVICE,
    ).require_twilio()
    assert (keyed.username, keyed.password) == (API_KEY, "s")
    assert keyed.auth_tokens == ("t-new", "t-old")
    assert keyed.senders == (SERVICE,)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (None, "which does not exist"),
        (b"{", "which is no JSON object"),
        (b"\xff", "which is no JSON object"),
        (b"[]", "which is no JSON object"),
        (b'{"type": "authorized_user"}', "which is not of a service account"),
        (msgspec.json.encode(ACCOUNT | {"private_key": ""}), "which lacks private_key"),
    ],
)
def test_fcm_is_checked_when_needed(tmp_path: Path, content: bytes | None, got: str) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    settings = read(tmp_path, GOOGLE_APPLICATION_CREDENTIALS="a.json")
    with pytest.raises(SettingsError, match=got):
        settings.require_fcm()


def test_fcm_complete(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(msgspec.json.encode(ACCOUNT))
    file.chmod(0o640)
    settings = read(tmp_path, GOOGLE_APPLICATION_CREDENTIALS="a.json", FCM_API_BASE="http://f/")
    assert settings.require_fcm().credentials == tmp_path.resolve() / "a.json"
    assert settings.require_fcm().api_base == "http://f"
    with pytest.raises(SettingsError, match="got nothing"):
        read(tmp_path).require_fcm()
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="which everybody on this machine may read"):
        settings.require_fcm()


def test_the_embedded_database_has_to_be_started_first(tmp_path: Path) -> None:
    settings = load({"PRUUF_DATA_DIR": str(tmp_path / "data")}, cwd=tmp_path)
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        settings.require_database()


def test_keys_are_made_for_the_embedded_database_only(tmp_path: Path) -> None:
    env = {"PRUUF_DATA_DIR": str(tmp_path / "data")}
    first, second = load(env, cwd=tmp_path), load(env, cwd=tmp_path)
    assert [len(key) for key in (*first.keys, *first.lookup_keys)] == [32, 32]
    assert first.keys != first.lookup_keys
    assert (first.keys, first.lookup_keys) == (second.keys, second.lookup_keys)
    made = tmp_path / "data" / "keys.env"
    assert made.stat().st_mode & 0o777 == 0o600
    assert first.sources["PRUUF_KEYS"] == f"made ({made})"
    found = problems(tmp_path, env | {"DATABASE_URL": DATABASE["DATABASE_URL"]})
    assert [problem.name for problem in found] == ["PRUUF_KEYS", "PRUUF_LOOKUP_KEYS"]


def test_one_given_key_asks_for_the_other(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, {"PRUUF_KEYS": KEY})
    assert problem.name == "PRUUF_LOOKUP_KEYS"


def test_a_refusal_makes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    problems(tmp_path, {"PRUUF_DATA_DIR": str(data), "PRUUF_PORT": "x"})
    assert not data.exists()


def test_the_environment_of_the_process_is_the_default(tmp_path: Path) -> None:
    script = "from outbox.settings import load; print(load().port)"
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **DATABASE, "PRUUF_PORT": "83"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout == "83\n"
