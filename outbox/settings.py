"""Settings: read from the environment and a ``.env`` file, checked at once, secrets masked.

A missing or malformed setting stops the process that needs it at its start, with its name, what
was got and an example; never at the first send.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from observability.exporting import TraceSettings
from outbox import service_account
from outbox.datafolder import default_data_dir
from outbox.domain.phones import problem_with
from outbox.domain.policy import Policy, PolicyError, default_policy
from outbox.domain.policy import parse as parse_policy
from outbox.keyfile import KeyfileError, generated_keys, parse_keys
from outbox.provider_settings import FcmSettings, StripeSettings, TwilioSettings, read_stripe
from outbox.setting_values import Problem, Reader, SettingsError, is_sid, read_dotenv
from outbox.smtp_address import SmtpAddress
from outbox.trace_settings import read_tracing

__all__ = [
    "NAMES",
    "FcmSettings",
    "Problem",
    "Settings",
    "SettingsError",
    "SmtpAddress",
    "StripeSettings",
    "TwilioSettings",
    "default_data_dir",
    "load",
]

NAMES = (
    "DATABASE_URL",
    "PRUUF_DATA_DIR",
    "PRUUF_HOST",
    "PRUUF_PORT",
    "PRUUF_DASHBOARD_PORT",
    "PRUUF_DASHBOARD_SIGN_IN",
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
    "STRIPE_API_KEY",
    "STRIPE_API_BASE",
    "STRIPE_WEBHOOK_SECRETS",
    "STRIPE_PRICE_ID",
    "PRUUF_OPERATOR_WEBHOOK",
    "PRUUF_OPERATOR_SMTP",
    "PRUUF_DEADMAN_URL",
    "PRUUF_CANARY",
    "PRUUF_POLICY",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_TRACES_SAMPLER_ARG",
)
"""Every setting that this version reads."""

_SHORT_CODE = range(3, 9)


class Settings(Struct, frozen=True, kw_only=True):
    """All settings of one process; named after their environment variables."""

    database_url: str | None
    """Null: the embedded Postgres in `data_dir`."""
    data_dir: Path
    """Absolute; made by whoever first writes there."""
    host: str
    port: int
    dashboard_port: int
    dashboard_sign_in: Path | None
    """Who may see it, and by whose word; null: everybody on this machine."""
    relay_metrics_port: int
    public_url: str
    """What providers call back, without a trailing slash."""
    keys: tuple[bytes, ...]
    """Keys of 32 bytes that seal, newest first; at least one."""
    lookup_keys: tuple[bytes, ...]
    """Keys of 32 bytes that make sealed numbers findable, newest first; at least one."""
    twilio_account_sid: str | None
    twilio_auth_token: tuple[str, ...]
    twilio_api_key: str | None
    twilio_api_secret: str | None
    twilio_from: tuple[str, ...]
    twilio_messaging_service_sid: str | None
    twilio_api_base: str | None
    google_application_credentials: Path | None
    fcm_api_base: str | None
    stripe: StripeSettings | None
    """Null: billing is off."""
    operator_webhook: str | None
    operator_smtp: SmtpAddress | None
    deadman_url: str | None
    """Asked for by `pruuf watch` while all is well; null: nobody would notice its end."""
    canary: str | None
    """Recipient of the canaries, a handset of ours; null: none are sent."""
    policy: Policy
    """Plans, rates and limits: the defaults, or a file over them."""
    tracing: TraceSettings | None
    """Null: nothing is traced."""
    sources: dict[str, str]
    """By name: ``environment``, ``.env line N``, ``default``, ``unset`` or ``made (file)``."""
    shown: dict[str, str]
    """By name: the value as it may be shown; empty when there is none."""

    def require_database(self) -> str:
        """The database's address; the embedded one must have been started before."""
        if self.database_url is None:
            raise SettingsError([Problem("DATABASE_URL", "nothing", "postgresql://user@host/name")])
        return self.database_url

    def require_twilio(self) -> TwilioSettings:
        """What the SMS adapter needs, or `SettingsError` naming all that is missing."""
        sid, tokens = self.twilio_account_sid, self.twilio_auth_token
        service = self.twilio_messaging_service_sid
        senders = (service,) if service else self.twilio_from
        wanted = {
            "TWILIO_ACCOUNT_SID": (sid, "AC and 32 hexadecimal digits, from Twilio's console"),
            "TWILIO_AUTH_TOKEN": (tokens, "the auth token; it also proves callbacks genuine"),
            "TWILIO_FROM": (
                senders,
                "numbers like +12025550123; or TWILIO_MESSAGING_SERVICE_SID instead",
            ),
        }
        if self.twilio_api_key or self.twilio_api_secret:
            accepted = "the key (SK…) and its secret together, or neither"
            wanted["TWILIO_API_KEY"] = (self.twilio_api_key, accepted)
            wanted["TWILIO_API_SECRET"] = (self.twilio_api_secret, accepted)
        missing = [
            Problem(name, "nothing", text) for name, (got, text) in wanted.items() if not got
        ]
        if missing or sid is None:
            raise SettingsError(missing)
        return TwilioSettings(
            account_sid=sid,
            auth_tokens=tokens,
            username=self.twilio_api_key or sid,
            password=self.twilio_api_secret or tokens[0],
            senders=senders,
            api_base=self.twilio_api_base,
        )

    def require_fcm(self) -> FcmSettings:
        """What the push adapter needs, or `SettingsError`; reads the service account's file."""
        path = self.google_application_credentials
        found = "nothing" if path is None else service_account.wrong_with(path)
        if path is None or found is not None:
            accepted = "the path of a service account's JSON file, like /etc/pruuf/firebase.json"
            problem = Problem("GOOGLE_APPLICATION_CREDENTIALS", found or "nothing", accepted)
            raise SettingsError([problem])
        return FcmSettings(credentials=path, api_base=self.fcm_api_base)


def load(env: Mapping[str, str] | None = None, *, cwd: Path | None = None) -> Settings:
    """Read all settings, or raise `SettingsError` with everything that is wrong."""
    cwd = cwd or Path.cwd()
    reader = Reader(os.environ if env is None else env, read_dotenv(cwd / ".env"))
    database_url = reader.database("DATABASE_URL")
    data_dir = _path(reader, "PRUUF_DATA_DIR", cwd)
    if data_dir is None:
        data_dir = default_data_dir(cwd)
        reader.sources["PRUUF_DATA_DIR"] = "default"
        reader.shown["PRUUF_DATA_DIR"] = str(data_dir)
    elif data_dir.exists() and not data_dir.is_dir():
        reader.fail("PRUUF_DATA_DIR", "a folder, like ./.pruuf")
    host = reader.host("PRUUF_HOST", "127.0.0.1")
    port = reader.port("PRUUF_PORT", 8080)
    public_url = reader.address("PRUUF_PUBLIC_URL", "https://notify.example.com")
    settings = Settings(
        database_url=database_url,
        data_dir=data_dir,
        host=host,
        port=port,
        dashboard_port=reader.port("PRUUF_DASHBOARD_PORT", 8501),
        dashboard_sign_in=_path(reader, "PRUUF_DASHBOARD_SIGN_IN", cwd),
        relay_metrics_port=reader.port("PRUUF_RELAY_METRICS_PORT", 9464),
        public_url=public_url or f"http://{_callable(host)}:{port}",
        keys=(),
        lookup_keys=(),
        twilio_account_sid=reader.sid("TWILIO_ACCOUNT_SID"),
        twilio_auth_token=reader.listed("TWILIO_AUTH_TOKEN", "new,old"),
        twilio_api_key=reader.sid("TWILIO_API_KEY"),
        twilio_api_secret=reader.text("TWILIO_API_SECRET"),
        twilio_from=_senders(reader),
        twilio_messaging_service_sid=reader.sid("TWILIO_MESSAGING_SERVICE_SID"),
        twilio_api_base=reader.address("TWILIO_API_BASE", "http://127.0.0.1:9900"),
        google_application_credentials=_path(reader, "GOOGLE_APPLICATION_CREDENTIALS", cwd),
        fcm_api_base=reader.address("FCM_API_BASE", "http://127.0.0.1:9900"),
        stripe=read_stripe(reader),
        operator_webhook=reader.address(
            "PRUUF_OPERATOR_WEBHOOK",
            "https://pager.example.com/hook",
            query=True,
        ),
        operator_smtp=reader.smtp("PRUUF_OPERATOR_SMTP"),
        deadman_url=reader.address(
            "PRUUF_DEADMAN_URL",
            "https://deadman.example.com/ping/4f2a",
            query=True,
        ),
        canary=reader.text("PRUUF_CANARY"),
        policy=_policy(reader, cwd),
        tracing=read_tracing(reader),
        sources=reader.sources,
        shown=reader.shown,
    )
    # Last: keys are made, and with them the data folder, only where nothing else is wrong.
    keys, lookup_keys = _keys(reader, settings)
    if reader.problems:
        raise SettingsError(reader.problems)
    return msgspec.structs.replace(settings, keys=keys, lookup_keys=lookup_keys)


def _path(reader: Reader, name: str, cwd: Path) -> Path | None:
    value = reader.text(name)
    return None if value is None else cwd.resolve() / Path(value).expanduser()


def _policy(reader: Reader, cwd: Path) -> Policy:
    path = _path(reader, "PRUUF_POLICY", cwd)
    if path is None:
        return default_policy()
    accepted = "a TOML file of plans and limits, as runbooks/reference/plans.md shows"
    try:
        return parse_policy(path.read_text(encoding="utf-8"))
    except OSError as error:
        reader.fail(
            "PRUUF_POLICY", accepted, got=f"{path}, which cannot be read ({error.strerror})"
        )
    except UnicodeDecodeError:
        reader.fail("PRUUF_POLICY", accepted, got=f"{path}, which is not UTF-8")
    except PolicyError as error:
        reader.fail("PRUUF_POLICY", accepted, got=f"{path} with {error}")
    return default_policy()


def _callable(host: str) -> str:
    """A host to listen on as one that this machine can call."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"[{host}]" if ":" in host else host


def _senders(reader: Reader) -> tuple[str, ...]:
    senders = reader.listed("TWILIO_FROM", "+12025550123,+12025550124")
    for place, sender in enumerate(senders, 1):
        short_code = sender.isascii() and sender.isdigit() and len(sender) in _SHORT_CODE
        wrong = None if short_code else problem_with(sender)
        if wrong and is_sid(sender, "MG"):
            wrong = "a messaging service, which belongs into TWILIO_MESSAGING_SERVICE_SID"
        if wrong:
            accepted = "numbers like +12025550123 or short codes, separated by commas"
            reader.fail("TWILIO_FROM", accepted, got=f"as sender {place} {wrong}")
    return senders


def _keys(reader: Reader, settings: Settings) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Sealing and look-up keys: given, or made once for the embedded set-up."""
    given = {name: reader.text(name) for name in ("PRUUF_KEYS", "PRUUF_LOOKUP_KEYS")}
    if not any(given.values()) and settings.database_url is None:
        if reader.problems:
            return (), ()
        try:
            made = generated_keys(settings.data_dir)
        except KeyfileError as error:
            reader.problems.append(Problem("PRUUF_KEYS", str(error), error.remedy))
            return (), ()
        path = settings.data_dir / "keys.env"
        reader.sources |= dict.fromkeys(given, f"made ({path})")
        reader.shown |= dict.fromkeys(given, "one key")
        return made
    accepted = (
        "32 bytes in base64, newest first, comma-separated, like from: openssl rand -base64 32"
    )
    parsed: list[tuple[bytes, ...]] = []
    for name, value in given.items():
        try:
            parsed.append(parse_keys(value or ""))
        except ValueError as error:
            reader.fail(name, accepted, got=str(error) if value else "nothing")
            parsed.append(())
    return parsed[0], parsed[1]
