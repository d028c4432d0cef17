"""Settings: read from the environment and a ``.env`` file, checked at once, secrets masked.

A missing or malformed setting stops the process that needs it at its start, with its name, what
was got and an example; never at the first send.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values
from msgspec import Struct

from outbox.domain.phones import problem_with
from outbox.keyfile import KeyfileError, generated_keys, parse_keys

_SECRET = {
    "DATABASE_URL",
    "PRUUF_KEYS",
    "PRUUF_LOOKUP_KEYS",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_API_SECRET",
    "PRUUF_OPERATOR_WEBHOOK",
}

NAMES = (
    "DATABASE_URL",
    "PRUUF_DATA_DIR",
    "PRUUF_HOST",
    "PRUUF_PORT",
    "PRUUF_DASHBOARD_PORT",
    "PRUUF_RELAY_METRICS_PORT",
    "PRUUF_PUBLIC_URL",
    "PRUUF_KEYS",
    "PRUUF_LOOKUP_KEYS",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_API_KEY",
    "TWILIO_API_SECRET",
    "TWILIO_FROM",
    "TWILIO_MESSAGING_SERVICE_SID",
    "TWILIO_API_BASE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "FCM_API_BASE",
    "PRUUF_OPERATOR_WEBHOOK",
)
"""Every setting that this version reads."""


class Problem(Struct, frozen=True):
    """One setting that is missing or malformed."""

    name: str
    got: str
    """What was found, masked when it is a secret."""
    accepted: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.name}: got {self.got}; accepted: {self.accepted}"


class SettingsError(Exception):
    """Settings that keep a process from starting; all of them at once."""

    def __init__(self, problems: list[Problem]) -> None:
        """Take every problem found."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class TwilioSettings(Struct, frozen=True, kw_only=True):
    """What the SMS adapter needs."""

    account_sid: str
    auth_tokens: tuple[str, ...]
    username: str
    """The API key, or the account SID."""
    password: str
    """The API secret, or the newest auth token."""
    senders: tuple[str, ...]
    api_base: str | None


class FcmSettings(Struct, frozen=True, kw_only=True):
    """What the push adapter needs."""

    credentials: Path
    api_base: str | None


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of one process; named after their environment variables."""

    database_url: str | None
    data_dir: Path
    host: str
    port: int
    dashboard_port: int
    relay_metrics_port: int
    public_url: str
    keys: tuple[bytes, ...]
    lookup_keys: tuple[bytes, ...]
    twilio_account_sid: str | None
    twilio_auth_token: tuple[str, ...]
    twilio_api_key: str | None
    twilio_api_secret: str | None
    twilio_from: tuple[str, ...]
    twilio_messaging_service_sid: str | None
    twilio_api_base: str | None
    google_application_credentials: Path | None
    fcm_api_base: str | None
    operator_webhook: str | None
    sources: dict[str, str]
    """Where each setting came from: ``environment``, ``.env``, ``default`` or ``made``."""

    def require_database(self) -> str:
        """The database's address; the embedded one must have been started before."""
        if self.database_url is None:
            raise SettingsError([Problem("DATABASE_URL", "nothing", "postgresql://user@host/name")])
        return self.database_url

    def require_twilio(self) -> TwilioSettings:
        """What the SMS adapter needs, or `SettingsError` naming all that is missing."""
        missing = []
        if self.twilio_account_sid is None:
            missing.append(Problem("TWILIO_ACCOUNT_SID", "nothing", "AC and 32 hexadecimal digits"))
        if not self.twilio_auth_token:
            missing.append(Problem("TWILIO_AUTH_TOKEN", "nothing", "the token, newest first"))
        service = self.twilio_messaging_service_sid
        senders = (service,) if service else self.twilio_from
        if not senders:
            accepted = "numbers like +12025550123, in order of preference"
            missing.append(Problem("TWILIO_FROM", "nothing", accepted))
        if missing or self.twilio_account_sid is None:
            raise SettingsError(missing)
        return TwilioSettings(
            account_sid=self.twilio_account_sid,
            auth_tokens=self.twilio_auth_token,
            username=self.twilio_api_key or self.twilio_account_sid,
            password=self.twilio_api_secret or self.twilio_auth_token[0],
            senders=senders,
            api_base=self.twilio_api_base,
        )

    def require_fcm(self) -> FcmSettings:
        """What the push adapter needs, or `SettingsError`."""
        if self.google_application_credentials is None:
            accepted = "the path of a service account's JSON file"
            raise SettingsError(
                [Problem("GOOGLE_APPLICATION_CREDENTIALS", "nothing", accepted)],
            )
        return FcmSettings(
            credentials=self.google_application_credentials,
            api_base=self.fcm_api_base,
        )


class _Reader:
    """Reads one variable after the other and remembers what is wrong."""

    def __init__(self, env: Mapping[str, str], file: Mapping[str, str]) -> None:
        self._env = env
        self._file = file
        self.problems: list[Problem] = []
        self.sources: dict[str, str] = {}

    def text(self, name: str, default: str | None = None) -> str | None:
        for source, values in (("environment", self._env), (".env", self._file)):
            value = values.get(name, "").strip()
            if value:
                self.sources[name] = source
                return value
        self.sources[name] = "default" if default is not None else "unset"
        return default

    def fail(self, name: str, value: str, accepted: str) -> None:
        self.problems.append(Problem(name, masked(name, value), accepted))

    def port(self, name: str, default: int) -> int:
        value = self.text(name, str(default)) or ""
        if not value.isdigit() or int(value) > 65_535:  # noqa: PLR2004 - the largest port
            self.fail(name, value, f"a port number, like {default}")
            return default
        return int(value)

    def url(self, name: str, example: str) -> str | None:
        value = self.text(name)
        if value is not None and not value.startswith(("http://", "https://")):
            self.fail(name, value, f"an address like {example}")
        return value.rstrip("/") if value else None

    def listed(self, name: str) -> tuple[str, ...]:
        value = self.text(name) or ""
        return tuple(part.strip() for part in value.split(",") if part.strip())

    def sid(self, name: str, prefix: str) -> str | None:
        value = self.text(name)
        if value is not None and not _is_sid(value, prefix):
            self.fail(name, value, f"{prefix} and 32 hexadecimal digits")
        return value


def _is_sid(value: str, prefix: str) -> bool:
    digits = value.removeprefix(prefix)
    return len(digits) == 32 and value != digits and all(c in "0123456789abcdefABCDEF" for c in digits)  # noqa: PLR2004


def masked(name: str, value: str) -> str:
    """A value as it may be shown."""
    if name in _SECRET:
        return f"{len(value)} characters"
    return repr(value)


def default_data_dir(cwd: Path) -> Path:
    """``./.pruuf``; as root a folder of this directory's own that Postgres' user may reach."""
    if os.geteuid() == 0:
        name = hashlib.sha256(str(cwd.resolve()).encode()).hexdigest()[:12]
        return Path("/var/lib/pruuf") / name
    return cwd / ".pruuf"


def load(env: Mapping[str, str] | None = None, *, cwd: Path | None = None) -> Settings:
    """Read all settings, or raise `SettingsError` with everything that is wrong."""
    cwd = cwd or Path.cwd()
    file = {key: value or "" for key, value in dotenv_values(cwd / ".env").items()}
    reader = _Reader(os.environ if env is None else env, file)
    database_url = reader.text("DATABASE_URL")
    if database_url and not database_url.startswith(("postgresql://", "postgres://")):
        reader.fail("DATABASE_URL", database_url, "postgresql://user:password@host/name")
    data_dir = Path(reader.text("PRUUF_DATA_DIR") or default_data_dir(cwd))
    host = reader.text("PRUUF_HOST", "127.0.0.1") or ""
    port = reader.port("PRUUF_PORT", 8080)
    public = reader.url("PRUUF_PUBLIC_URL", "https://pruuf.example")
    keys, lookup_keys = _keys(reader, database_url, data_dir)
    senders = reader.listed("TWILIO_FROM")
    for sender in senders:
        if not (sender.isdigit() and 3 <= len(sender) <= 8) and problem_with(sender):  # noqa: PLR2004
            reader.fail("TWILIO_FROM", sender, "numbers like +12025550123 or short codes")
    credentials = reader.text("GOOGLE_APPLICATION_CREDENTIALS")
    if credentials and not Path(credentials).is_file():
        accepted = "the path of a service account's JSON file that can be read"
        reader.fail("GOOGLE_APPLICATION_CREDENTIALS", credentials, accepted)
    settings = Settings(
        database_url=database_url,
        data_dir=data_dir,
        host=host,
        port=port,
        dashboard_port=reader.port("PRUUF_DASHBOARD_PORT", 8501),
        relay_metrics_port=reader.port("PRUUF_RELAY_METRICS_PORT", 9464),
        public_url=public or f"http://{host}:{port}",
        keys=keys,
        lookup_keys=lookup_keys,
        twilio_account_sid=reader.sid("TWILIO_ACCOUNT_SID", "AC"),
        twilio_auth_token=reader.listed("TWILIO_AUTH_TOKEN"),
        twilio_api_key=reader.sid("TWILIO_API_KEY", "SK"),
        twilio_api_secret=reader.text("TWILIO_API_SECRET"),
        twilio_from=senders,
        twilio_messaging_service_sid=reader.sid("TWILIO_MESSAGING_SERVICE_SID", "MG"),
        twilio_api_base=reader.url("TWILIO_API_BASE", "http://127.0.0.1:9900"),
        google_application_credentials=Path(credentials) if credentials else None,
        fcm_api_base=reader.url("FCM_API_BASE", "http://127.0.0.1:9900"),
        operator_webhook=reader.url("PRUUF_OPERATOR_WEBHOOK", "https://pager.example/hook"),
        sources=reader.sources,
    )
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


def _keys(
    reader: _Reader,
    database_url: str | None,
    data_dir: Path,
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Sealing and look-up keys: given, or made once for the embedded set-up."""
    given = {name: reader.text(name) for name in ("PRUUF_KEYS", "PRUUF_LOOKUP_KEYS")}
    if not any(given.values()) and database_url is None:
        try:
            made = generated_keys(data_dir)
        except KeyfileError as error:
            reader.problems.append(Problem("PRUUF_KEYS", str(error), error.remedy))
            return (), ()
        reader.sources |= dict.fromkeys(given, f"made ({data_dir / 'keys.env'})")
        return made
    accepted = "32 bytes in base64url, comma-separated, newest first; make one: openssl rand -base64 32"
    parsed = []
    for name, value in given.items():
        try:
            parsed.append(parse_keys(value or ""))
        except ValueError as error:
            got = "nothing" if not value else str(error)
            reader.problems.append(Problem(name, got, accepted))
            parsed.append(())
    return parsed[0], parsed[1]
