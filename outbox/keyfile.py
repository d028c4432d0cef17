"""The keys of the embedded set-up: made once, for their owner's eyes only."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from dotenv import dotenv_values

_KEY_BYTES = 32


class KeyfileError(Exception):
    """The key file cannot be used."""

    def __init__(self, what: str, remedy: str) -> None:
        """Say what is wrong, and what to do."""
        super().__init__(what)
        self.remedy = remedy


def parse_keys(text: str) -> tuple[bytes, ...]:
    """Keys from comma-separated base64 (either alphabet), newest first; ValueError otherwise."""
    keys = []
    for part in (part.strip() for part in text.split(",")):
        try:
            key = base64.urlsafe_b64decode(part.replace("+", "-").replace("/", "_") + "==")
        except binascii.Error as error:
            msg = "text that is not base64"
            raise ValueError(msg) from error
        if len(key) != _KEY_BYTES:
            msg = f"a key of {len(key)} bytes"
            raise ValueError(msg)
        keys.append(key)
    return tuple(keys)


def printed_keys(keys: tuple[bytes, ...]) -> str:
    """Keys as the settings take them."""
    return ",".join(base64.urlsafe_b64encode(key).decode() for key in keys)


def generated_keys(data_dir: Path) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Sealing and look-up keys of this data folder; made on first use, the same for all who race.

    Raises `KeyfileError` when others may read the file, or it does not hold keys.
    """
    path = data_dir / "keys.env"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
        lines = [
            f"{name}={base64.urlsafe_b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}"
            for name in ("PRUUF_KEYS", "PRUUF_LOOKUP_KEYS")
        ]
        draft = data_dir / f"keys.env.{os.getpid()}.{secrets.token_hex(4)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link fails when the name is taken: whoever comes second uses the first one's keys.
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        what = f"{path}, which others may read"
        raise KeyfileError(what, f"a file of mode 0600: chmod 600 {path}")
    values = dotenv_values(path)
    try:
        keys = parse_keys(values.get("PRUUF_KEYS") or "")
        lookup_keys = parse_keys(values.get("PRUUF_LOOKUP_KEYS") or "")
    except ValueError as error:
        what = f"{path}, which holds {error}"
        raise KeyfileError(what, "the file as it was made; rows sealed under it need it") from error
    return keys, lookup_keys
