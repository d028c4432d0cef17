"""The settings that point a gateway at the simulators, and the service account they name."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from outbox.simulators.credentials import AUTH_TOKEN, STRIPE_KEY
from outbox.simulators.fcm import PROJECT
from outbox.simulators.stripe.catalog import PRICE
from outbox.simulators.stripe.webhooks import SECRETS
from outbox.simulators.twilio_messages import ACCOUNT_SID, SENDERS

_MODE = 0o600


def environment(*, base_url: str, folder: Path) -> dict[str, str]:
    """Settings by name; writes the service account that they name into ``folder``.

    A file that already points at ``base_url`` stays, so that printing the settings again does not
    change the key under those who use it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "service-account.json"
    token_uri = f"{base_url.rstrip('/')}/token"
    if not _is_for(path, token_uri):
        _write(path, _account(token_uri))
    return {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_FROM": ",".join(SENDERS),
        "TWILIO_API_BASE": base_url.rstrip("/"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(path.resolve()),
        "FCM_API_BASE": base_url.rstrip("/"),
        "STRIPE_API_KEY": STRIPE_KEY,
        "STRIPE_API_BASE": base_url.rstrip("/"),
        "STRIPE_WEBHOOK_SECRETS": ",".join(SECRETS),
        "STRIPE_PRICE_ID": PRICE,
    }


def _is_for(path: Path, token_uri: str) -> bool:
    try:
        account = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    return account.get("token_uri") == token_uri and path.stat().st_mode & 0o777 == _MODE


def _account(token_uri: str) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "simulated",
        "private_key": pem.decode(),
        "client_email": f"pruuf@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "0",
        "token_uri": token_uri,
    }


def _write(path: Path, account: dict[str, str]) -> None:
    """Never readable by others, and never half there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(account))
    draft.replace(path)
