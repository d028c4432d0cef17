"""Who may see the dashboard is decided by what the provider proves, and a sound set-up alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboard import sign_in
from dashboard.__main__ import options
from dashboard.sign_in import SignIn
from outbox.settings import Settings, SettingsError, load

_NOW = 1_795_500_000.0
_KEY = "A" * 43
_AUTH = {
    "redirect_uri": "https://pruuf.example/oauth2callback",
    "cookie_secret": "c" * 32,
    "client_id": "pruuf",
    "client_secret": "hushhush",
    "server_metadata_url": "https://id.example/.well-known/openid-configuration",
    "allow": ["ann@pruuf.example", "@on-call.example", "sub:u-9"],
}
_ANN = {"sub": "u-1", "email": "Ann@Pruuf.example", "email_verified": True, "iat": _NOW - 60}


def _settings(path: Path | None) -> Settings:
    given = {
        "DATABASE_URL": "postgresql://x@127.0.0.1/x",
        "PRUUF_KEYS": _KEY,
        "PRUUF_LOOKUP_KEYS": _KEY,
    }
    return load(given if path is None else {**given, sign_in.NAME: str(path)})


def _file(folder: Path, *, mode: int = 0o600, **changed: object) -> Path:
    path = folder / "sign-in.toml"
    lines = [f"{name} = {value!r}" for name, value in {**_AUTH, **changed}.items() if value]
    path.write_text("\n".join(["[auth]", *lines]))
    path.chmod(mode)
    return path


def _made() -> SignIn:
    allow = ("ann@pruuf.example", "@on-call.example", "sub:u-9")
    return SignIn(file=Path("x"), allow=allow, host="pruuf.example")


@pytest.mark.parametrize(
    "claims",
    [
        _ANN,
        {**_ANN, "email": "bob@on-call.example"},
        # A subject is the provider's own word for one person, whatever their address.
        {"sub": "u-9", "iat": _NOW},
        {**_ANN, "iat": _NOW - 12 * 3600},
        {**_ANN, "iat": _NOW + 200},
    ],
)
def test_who_is_named_and_proven_may_enter(claims: dict[str, Any]) -> None:
    assert sign_in.refusal(_made(), claims, _NOW) is None


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({}, "when you signed in"),
        ({**_ANN, "iat": None}, "when you signed in"),
        ({**_ANN, "iat": True}, "when you signed in"),
        ({**_ANN, "iat": _NOW - 12 * 3600 - 1}, "more than twelve hours"),
        ({**_ANN, "iat": _NOW + 3600}, "more than twelve hours"),
        ({**_ANN, "email_verified": False}, "does not say that your address is yours"),
        ({**_ANN, "email_verified": "true"}, "does not say that your address is yours"),
        ({"sub": "u-1", "email": _ANN["email"], "iat": _NOW}, "does not say"),
        ({**_ANN, "email": "mallory@pruuf.example"}, "not among those"),
        ({**_ANN, "email": "bob@not-on-call.example"}, "not among those"),
        ({**_ANN, "email": "bob@on-call.example.evil"}, "not among those"),
        ({**_ANN, "email": "@on-call.example@evil.example"}, "not among those"),
        ({**_ANN, "email": ""}, "not among those"),
        ({**_ANN, "email": "sub:u-9", "sub": None}, "not among those"),
        ({**_ANN, "email": None, "sub": ""}, "not among those"),
    ],
)
def test_nobody_else_may(claims: dict[str, Any], why: str) -> None:
    assert why in str(sign_in.refusal(_made(), claims, _NOW))


def test_it_is_read_and_handed_to_streamlit(tmp_path: Path) -> None:
    path = _file(tmp_path, allow=[" Ann@Pruuf.example ", "sub:U-9"])
    settings = _settings(path)
    found = sign_in.read(settings)
    assert found is not None
    assert (found.allow, found.host) == (("ann@pruuf.example", "sub:U-9"), "pruuf.example")
    given = options(settings, found)
    assert given["secrets.files"] == str(path)
    assert given["browser.serverAddress"] == "pruuf.example"
    assert given["server.trustedUserHeaders"] == "{}"
    assert sign_in.read(_settings(None)) is None
    assert "secrets.files" not in options(settings, None)


@pytest.mark.parametrize(
    ("changed", "got"),
    [
        ({"mode": 0o640}, "chmod 600"),
        ({"cookie_secret": ""}, "without cookie_secret"),
        ({"cookie_secret": "short"}, "fewer than 32"),
        ({"client_secret": None}, "without client_secret"),
        ({"server_metadata_url": None}, "without server_metadata_url"),
        ({"redirect_uri": "https://pruuf.example/"}, "does not end with /oauth2callback"),
        ({"redirect_uri": "http://pruuf.example/oauth2callback"}, "without https"),
        ({"server_metadata_url": "http://id.example/x"}, "without https"),
        ({"allow": None}, "who may enter"),
        ({"allow": [7]}, "who may enter"),
        ({"allow": ["ann"]}, "'ann' in allow"),
        ({"allow": ["@"]}, "'@' in allow"),
        ({"allow": ["sub:"]}, "'sub:' in allow"),
    ],
)
def test_what_would_let_in_anybody_or_leak_stops_it(
    tmp_path: Path, changed: dict[str, Any], got: str
) -> None:
    settings = _settings(_file(tmp_path, **changed))
    with pytest.raises(SettingsError) as caught:
        sign_in.read(settings)
    [problem] = caught.value.problems
    assert problem.name == sign_in.NAME
    assert got in problem.got
    assert "hushhush" not in str(caught.value)


@pytest.mark.parametrize("text", ["no toml: hushhush", "auth = 7", ""])
def test_a_file_that_is_none_is_told_without_a_word_of_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sign-in.toml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError) as caught:
        sign_in.read(_settings(path))
    assert "hushhush" not in str(caught.value)
    path.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        sign_in.read(_settings(path))
