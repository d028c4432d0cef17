"""The settings that point a gateway at a simulator, and the service account they name."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from outbox.simulators.fcm import PROJECT
from outbox.simulators.twilio import ACCOUNT_SID, AUTH_TOKEN, SENDERS


def environment(*, base_url: str, folder: Path) -> dict[str, str]:
    """Settings by name; writes a service account of a fresh key (mode 0600) into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "service-account.json"
    if not path.exists() or base_url.encode() not in path.read_bytes():
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "simulated",
            "private_key": pem,
            "client_email": f"pruuf@{PROJECT}.iam.gserviceaccount.com",
            "client_id": "0",
            "token_uri": f"{base_url}/token",
        }
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(account))
    return {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_FROM": ",".join(SENDERS),
        "TWILIO_API_BASE": base_url,
        "GOOGLE_APPLICATION_CREDENTIALS": str(path.resolve()),
        "FCM_API_BASE": base_url,
    }
