"""Settings: every documented form is read, everything else is refused with name and example."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outbox.settings import NAMES, default_data_dir
from tests.unit.settings_given import (
    API_KEY,
    DATABASE,
    KEY,
    OTHER,
    SERVICE,
    SID,
    TWILIO,
    problems,
    read,
)


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("DATABASE_URL", "postgres:///local", "database_url", "postgres:///local"),
        ("PRUUF_HOST", "::1", "host", "::1"),
        ("PRUUF_HOST", "gateway-1.internal", "host", "gateway-1.internal"),
        ("PRUUF_PORT", "0", "port", 0),
        ("PRUUF_PORT", " 65535 ", "port", 65_535),
        ("PRUUF_DASHBOARD_PORT", "81", "dashboard_port", 81),
        ("PRUUF_RELAY_METRICS_PORT", "82", "relay_metrics_port", 82),
        ("PRUUF_PUBLIC_URL", "https://n.example/p/", "public_url", "https://n.example/p"),
        ("PRUUF_KEYS", f"{OTHER} , {KEY}", "keys", (bytes(range(200, 232)),) * 2),
        ("PRUUF_KEYS", KEY.rstrip("="), "keys", (bytes(range(200, 232)),)),
        ("TWILIO_ACCOUNT_SID", SID, "twilio_account_sid", SID),
        ("TWILIO_AUTH_TOKEN", "new, old,", "twilio_auth_token", ("new", "old")),
        ("TWILIO_FROM", "+12025550123,72975", "twilio_from", ("+12025550123", "72975")),
        ("TWILIO_MESSAGING_SERVICE_SID", SERVICE, "twilio_messaging_service_sid", SERVICE),
        ("TWILIO_API_BASE", "http://[::1]:9900", "twilio_api_base", "http://[::1]:9900"),
        ("PRUUF_OPERATOR_WEBHOOK", "https://p/h?k=1", "operator_webhook", "https://p/h?k=1"),
        ("PRUUF_OPERATOR_WEBHOOK", " ", "operator_webhook", None),
        ("PRUUF_OPERATOR_SMTP", "", "operator_smtp", None),
    ],
)
def test_read(tmp_path: Path, name: str, value: str, field: str, expected: object) -> None:
    settings = read(tmp_path, **{name: value})
    assert getattr(settings, field) == expected
    assert settings.sources[name] == ("environment" if value.strip() else "unset")


@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("DATABASE_URL", "mysql://pruuf:hushhush@db/pruuf", "31 characters"),
        ("DATABASE_URL", "postgresql://u:hush%zz@db/pruuf", "31 characters"),
        ("DATABASE_URL", "postgresql://db:port/pruuf", "pruuf at db"),
        ("DATABASE_URL", "host=db dbname=pruuf", "pruuf at db"),
        ("PRUUF_HOST", "127.0.0.1:8080", "127.0.0.1:8080"),
        ("PRUUF_HOST", "http://here", "http://here"),
        ("PRUUF_PORT", "65536", "65536"),
        ("PRUUF_PORT", "-1", "-1"),
        ("PRUUF_PORT", "http", "http"),
        ("PRUUF_PORT", "²", "²"),
        ("PRUUF_DASHBOARD_PORT", "8501.0", "8501.0"),
        ("PRUUF_PUBLIC_URL", "pruuf.example", "pruuf.example"),
        ("PRUUF_PUBLIC_URL", "https://", "'https://'"),
        ("PRUUF_PUBLIC_URL", "https://me:hush@x:port", "https://…@x:port"),
        ("PRUUF_PUBLIC_URL", "https://x.example?a=b", "https://x.example"),
        ("PRUUF_PUBLIC_URL", "https://two words", "'https://two words'"),
        ("PRUUF_KEYS", KEY[:-4], "as key 1 30 bytes"),
        ("PRUUF_KEYS", f"{KEY},{KEY[:8]}*{KEY[8:]}", "as key 2 text that is not base64"),
        ("PRUUF_KEYS", "schlüssel", "as key 1 text that is not ASCII"),
        ("PRUUF_LOOKUP_KEYS", "", "nothing"),
        ("TWILIO_ACCOUNT_SID", SID[2:], "32 characters"),
        ("TWILIO_ACCOUNT_SID", API_KEY, "34 characters"),
        ("TWILIO_API_KEY", SID, "34 characters"),
        ("TWILIO_MESSAGING_SERVICE_SID", "MG1", "3 characters"),
        ("TWILIO_AUTH_TOKEN", "new old", "7 characters"),
        ("TWILIO_AUTH_TOKEN", ",", "1 characters"),
        ("TWILIO_FROM", "+12025550123,2025550124", "as sender 2 a number without +"),
        ("TWILIO_FROM", "+1202555", "as sender 1 a number of a length"),
        ("TWILIO_FROM", SERVICE, "as sender 1 a messaging service"),
        ("TWILIO_FROM", "٧٢٩٧٥", "as sender 1 a number without +"),
        ("FCM_API_BASE", "ftp://127.0.0.1", "ftp://127.0.0.1"),
        ("PRUUF_OPERATOR_WEBHOOK", "https://p/secret#x", "https://p/…"),
        ("PRUUF_OPERATOR_SMTP", "https://hush@x/?from=a@b&to=c@d", "no address of a mail server"),
    ],
)
def test_refused(tmp_path: Path, name: str, value: str, got: str) -> None:
    [problem] = problems(tmp_path, {**DATABASE, name: value})
    assert problem.name == name
    assert got in problem.got
    assert not value or "(environment)" in problem.got
    assert "like " in problem.accepted
    assert "hush" not in str(problem)


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, {"DATABASE_URL": "x", "PRUUF_PORT": "x", "TWILIO_FROM": "x,y"})
    names = ["DATABASE_URL", "PRUUF_PORT", "TWILIO_FROM", "TWILIO_FROM"]
    assert [problem.name for problem in found] == [*names, "PRUUF_KEYS", "PRUUF_LOOKUP_KEYS"]


def test_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert (settings.dashboard_port, settings.relay_metrics_port) == (8501, 9464)
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.data_dir == default_data_dir(tmp_path)
    assert set(settings.sources) == set(settings.shown) == set(NAMES)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("gateway-1", "http://gateway-1:8080"),
    ],
)
def test_what_is_called_back_by_default(tmp_path: Path, host: str, expected: str) -> None:
    assert read(tmp_path, PRUUF_HOST=host).public_url == expected


def test_the_environment_wins_over_the_file_also_when_empty(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "\ufeff# note\nPRUUF_PORT=81\n\nexport PRUUF_HOST='::1'  # here\n"
        "TWILIO_API_BASE=http://127.0.0.1:9900\nPRUUF_DASHBOARD_PORT=1\nPRUUF_DASHBOARD_PORT=2\n",
    )
    settings = read(tmp_path, PRUUF_PORT="82", TWILIO_API_BASE="")
    assert (settings.port, settings.host, settings.dashboard_port) == (82, "::1", 2)
    assert settings.twilio_api_base is None
    assert settings.sources["PRUUF_PORT"] == "environment"
    assert settings.sources["PRUUF_HOST"] == ".env line 4"
    assert settings.sources["PRUUF_DASHBOARD_PORT"] == ".env line 7"
    assert settings.sources["TWILIO_API_BASE"] == "unset"


def test_a_problem_names_its_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# note\nPRUUF_PORT=eighty\n")
    [problem] = problems(tmp_path, DATABASE)
    assert str(problem) == (
        "PRUUF_PORT: got 'eighty' (.env line 2); accepted: a port number, like 8080"
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"PRUUF_PORT=81\n=hushhush\n", ".env line 2: got text without a meaning"),
        (b"PRUUF_HOST=\xff\n", ".env: got bytes that are not UTF-8"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    [problem] = problems(tmp_path, DATABASE)
    assert expected in str(problem)
    assert "hush" not in str(problem)


def test_a_secret_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("PRUUF_PORT=81\nTWILIO_AUTH_TOKEN=hushhush\nSTRIPE_API_KEY=\n")
    file.chmod(0o644)
    [problem] = problems(tmp_path, DATABASE)
    assert str(problem) == (
        "./.env: got TWILIO_AUTH_TOKEN in a file that everybody on this machine may read;"
        " accepted: a file for its owner's eyes: chmod 600 .env"
    )
    file.chmod(0o640)
    assert read(tmp_path).port == 81
    # Without a secret it may stand open.
    file.write_text("PRUUF_PORT=81\n")
    file.chmod(0o644)
    assert read(tmp_path).port == 81


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    [problem] = problems(tmp_path, DATABASE)
    assert "cannot be read" in problem.got


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        **TWILIO | {"TWILIO_FROM": "+12025550123"},
        TWILIO_API_KEY=API_KEY,
        TWILIO_API_SECRET="hushhush",
        PRUUF_OPERATOR_WEBHOOK="https://hush:hush@pager.example/hush?hush",
        PRUUF_OPERATOR_SMTP="smtp://hush:hush@mail.example/?from=a@hush.example&to=b@hush.example",
    )
    text = repr(settings.shown)
    for secret in ("hush", KEY, "t-new", "+1202555", SID, API_KEY):
        assert secret not in text
    assert settings.shown["DATABASE_URL"] == "pruuf at db-1,db-2"
    assert settings.shown["TWILIO_ACCOUNT_SID"] == "AC…cdef"
    assert settings.shown["TWILIO_FROM"] == "…0123"
    assert settings.shown["PRUUF_OPERATOR_SMTP"] == "smtp://mail.example:587"
    assert settings.shown["PRUUF_OPERATOR_WEBHOOK"] == "https://pager.example/…"


def test_paths_are_taken_from_the_folder(tmp_path: Path) -> None:
    settings = read(tmp_path, PRUUF_DATA_DIR="data", GOOGLE_APPLICATION_CREDENTIALS="~/a.json")
    assert settings.data_dir == tmp_path.resolve() / "data"
    assert settings.google_application_credentials == Path("~/a.json").expanduser()
    (tmp_path / "data").write_text("")
    [problem] = problems(tmp_path, {**DATABASE, "PRUUF_DATA_DIR": "data"})
    assert problem.name == "PRUUF_DATA_DIR"


def test_two_checkouts_have_two_data_folders(tmp_path: Path) -> None:
    first, second = (default_data_dir(tmp_path / name) for name in ("a", "b"))
    assert first != second
    assert (first.parent == Path("/var/lib/pruuf")) == (os.geteuid() == 0)
