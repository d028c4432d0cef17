"""Values of settings: where each came from, what is wrong with it, and how it may be shown.

Nothing here repeats a secret or a phone number, neither in a problem nor in a listing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import psycopg
from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream
from msgspec import Struct
from psycopg.conninfo import conninfo_to_dict

from outbox import smtp_address
from outbox.smtp_address import SmtpAddress

_PORTS = range(65_536)
_SECRET = {
    "OTEL_EXPORTER_OTLP_HEADERS",
    "PRUUF_KEYS",
    "PRUUF_LOOKUP_KEYS",
    "STRIPE_API_KEY",
    "STRIPE_WEBHOOK_SECRETS",
    "TWILIO_API_SECRET",
    "TWILIO_AUTH_TOKEN",
}
_SIDS = {
    "TWILIO_ACCOUNT_SID": "AC",
    "TWILIO_API_KEY": "SK",
    "TWILIO_MESSAGING_SERVICE_SID": "MG",
}
_SECRET_PATHS = {"PRUUF_OPERATOR_WEBHOOK", "PRUUF_DEADMAN_URL"}
"""Addresses that let whoever knows them do something."""
_HOLDS_SECRET = _SECRET | _SECRET_PATHS | {"DATABASE_URL", "PRUUF_API_KEY", "PRUUF_OPERATOR_SMTP"}
_OTHERS_READ = 0o004
_HOST = re.compile(r"(?!-)[A-Za-z0-9_.-]{1,253}")


class Problem(Struct, frozen=True):
    """One setting that is missing or malformed."""

    name: str
    got: str
    """What was found and where; masked when it is a secret."""
    accepted: str
    """What would do, with an example."""

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.name}: got {self.got}; accepted: {self.accepted}"


class SettingsError(Exception):
    """Settings that keep a process from starting; all of them at once."""

    def __init__(self, problems: list[Problem]) -> None:
        """Take every problem found."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class Given(Struct, frozen=True):
    """A value as found."""

    value: str
    source: str
    """``environment``, ``.env line N``, ``default`` or ``unset``."""


def read_dotenv(path: Path) -> dict[str, Given]:
    """Values of a ``.env`` file with their lines; empty without a file.

    Raises `SettingsError` when it cannot be read, naming every line that cannot be understood, and
    when it holds a secret that everybody on this machine may read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        mode = path.stat().st_mode
    except FileNotFoundError:
        return {}
    except OSError as error:
        found = f"a file that cannot be read ({error.strerror})"
        raise SettingsError(
            [Problem(str(path), found, "a file that this user may read")]
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(
            [Problem(str(path), "bytes that are not UTF-8", "a text file")]
        ) from error
    lines = list(parse_stream(StringIO(text)))
    problems = [
        Problem(f".env line {_line_of(line)}", "text without a meaning", "NAME=value")
        for line in lines
        if line.error
    ]
    if problems:
        raise SettingsError(problems)
    values = dotenv_values(stream=StringIO(text))
    secret = sorted(name for name in values if name in _HOLDS_SECRET and values[name])
    if secret and mode & _OTHERS_READ:
        got = f"{', '.join(secret)} in a file that everybody on this machine may read"
        raise SettingsError([Problem("./.env", got, "a file for its owner's eyes: chmod 600 .env")])
    return {
        line.key: Given(values.get(line.key) or "", f".env line {_line_of(line)}")
        for line in lines
        if line.key is not None
    }


def _line_of(line: Binding) -> int:
    # The parser counts the blank lines before a name as part of it.
    text = line.original.string
    return line.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def masked(name: str, value: str) -> str:
    """A value as it may be shown: enough to recognise it, not enough to use it."""
    if name in _SECRET:
        return f"{len(value)} characters"
    if name in _SIDS:
        # The neighbour of a SID in every console is a secret; it ends up here by mistake.
        right = is_sid(value, _SIDS[name])
        return f"{value[:2]}…{value[-4:]}" if right else f"{len(value)} characters"
    if name == "TWILIO_FROM":
        return ", ".join(f"…{sender.strip()[-4:]}" for sender in value.split(","))
    if name in _SHOWN:
        return _SHOWN[name](value)
    if "://" in value:
        return _shown_address(value, path=name not in _SECRET_PATHS)
    return value


def _shown_database(value: str) -> str:
    try:
        given = conninfo_to_dict(value)
    except psycopg.ProgrammingError:
        return f"{len(value)} characters"
    return f"{given.get('dbname') or 'no name'} at {given.get('host') or 'the local socket'}"


def _shown_smtp(value: str) -> str:
    try:
        return smtp_address.parse(value).shown
    except ValueError:
        return f"{len(value)} characters"


_SHOWN = {"DATABASE_URL": _shown_database, "PRUUF_OPERATOR_SMTP": _shown_smtp}


def _shown_address(value: str, *, path: bool) -> str:
    parts = _split(value)
    if parts is None:
        known = re.sub("//[^/]*@", "//…@", value).partition("?")[0]
        return known if path else f"{len(value)} characters"
    host = parts.netloc.rpartition("@")[2]
    rest = parts.path if path else ("/…" if parts.path.strip("/") or parts.query else parts.path)
    return f"{parts.scheme}://{host}{rest}"


def is_sid(value: str, prefix: str) -> bool:
    """Whether this is one of Twilio's identifiers of the kind that ``prefix`` names."""
    return re.fullmatch(f"{prefix}[0-9a-fA-F]{{32}}", value) is not None


def _split(address: str) -> SplitResult | None:
    """The parts of an http(s) address; null when it is none."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    known = parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0
    return parts if known and not re.search(r"\s", address) else None


class Reader:
    """Reads one setting after the other, and remembers where each came from and what is wrong."""

    def __init__(self, env: Mapping[str, str], file: Mapping[str, Given]) -> None:
        """A name in the environment wins over the file, also when it is empty there."""
        self._env = env
        self._file = file
        self.problems: list[Problem] = []
        self.sources: dict[str, str] = {}
        self.shown: dict[str, str] = {}
        self._values: dict[str, str] = {}

    def text(self, name: str, default: str | None = None) -> str | None:
        """The value without surrounding blanks; ``default`` when it is empty or not given."""
        given = self._file.get(name, Given("", "unset"))
        if name in self._env:
            given = Given(self._env[name], "environment")
        value = given.value.strip()
        if not value:
            self.sources[name] = "unset" if default is None else "default"
            self.shown[name] = "" if default is None else default
            return default
        self.sources[name] = given.source
        self.shown[name] = masked(name, value)
        self._values[name] = value
        return value

    def fail(self, name: str, accepted: str, *, got: str | None = None) -> None:
        """Remember a problem; ``got`` replaces the masked value."""
        source, shown = self.sources[name], self.shown[name]
        found = got or (repr(shown) if shown == self._values[name] else shown)
        where = "" if source == "unset" else f" ({source})"
        self.problems.append(Problem(name, found + where, accepted))

    def port(self, name: str, default: int) -> int:
        """A port; 0 lets the system choose."""
        value = self.text(name, str(default)) or ""
        if not (value.isascii() and value.isdigit() and int(value) in _PORTS):
            self.fail(name, f"a port number, like {default}")
            return default
        return int(value)

    def host(self, name: str, default: str) -> str:
        """An address or a name to listen on."""
        value = self.text(name, default) or default
        try:
            ipaddress.ip_address(value)
        except ValueError:
            if not _HOST.fullmatch(value):
                self.fail(name, "an address or a host name without a port, like 127.0.0.1")
        return value

    def address(self, name: str, example: str, *, query: bool = False) -> str | None:
        """An http(s) address without a trailing slash; a base of others has no query."""
        value = self.text(name)
        if value is None:
            return None
        parts = _split(value)
        if parts is None or parts.fragment or (parts.query and not query):
            self.fail(name, f"an address like {example}")
        return value.rstrip("/")

    def smtp(self, name: str) -> SmtpAddress | None:
        """A mail server, with sender and recipients."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return smtp_address.parse(value)
        except ValueError as error:
            example = "smtp://user:password@mail.example.com:587/?from=pruuf@example.com"
            example += "&to=oncall@example.com"
            self.fail(name, f"an address like {example}", got=str(error))
            return None

    def listed(self, name: str, example: str) -> tuple[str, ...]:
        """Comma-separated values without empty ones."""
        value = self.text(name)
        parts = tuple(part.strip() for part in (value or "").split(",") if part.strip())
        if value is not None and (not parts or any(re.search(r"\s", part) for part in parts)):
            self.fail(name, f"values without blanks, separated by commas, like {example}")
        return parts

    def sid(self, name: str) -> str | None:
        """One of Twilio's identifiers."""
        value, prefix = self.text(name), _SIDS[name]
        if value is not None and not is_sid(value, prefix):
            example = f"{prefix}0123456789abcdef0123456789abcdef"
            self.fail(name, f"{prefix} and 32 hexadecimal digits, like {example}")
        return value

    def database(self, name: str) -> str | None:
        """A Postgres URL; several hosts and every parameter of libpq are allowed."""
        value = self.text(name)
        if value is None:
            return None
        ports = ""
        try:
            ports = str(conninfo_to_dict(value).get("port") or "")
        except psycopg.ProgrammingError:
            # libpq's own words would repeat the password.
            right = False
        else:
            right = all(port.isdigit() for port in ports.split(",") if port)
        if not right or not value.startswith(("postgresql://", "postgres://")):
            self.fail(name, "an address like postgresql://user:password@host-1,host-2/name")
        return value
