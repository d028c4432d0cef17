"""The keys of the embedded set-up: made once, for their owner's eyes only, never made twice."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from pathlib import Path

from dotenv import dotenv_values

from outbox.datafolder import make_data_dir

_KEY_BYTES = 32
_NAMES = ("PRUUF_KEYS", "PRUUF_LOOKUP_KEYS")


class KeyfileError(Exception):
    """The key file cannot be used."""

    def __init__(self, what: str, remedy: str) -> None:
        """Say what is wrong, and what to do."""
        super().__init__(what)
        self.remedy = remedy


def parse_keys(text: str) -> tuple[bytes, ...]:
    """Keys from comma-separated base64 (either alphabet), newest first; ValueError otherwise."""
    keys = []
    for place, part in enumerate((part.strip() for part in text.split(",")), 1):
        digits = part.rstrip("=").replace("+", "-").replace("/", "_")
        padding = "=" * (-len(digits) % 4)
        try:
            # Strict: the lenient decoder skips a mistyped character and seals under another key.
            key = base64.b64decode(digits + padding, altchars=b"-_", validate=True)
        except ValueError as error:
            what = "not ASCII" if not isinstance(error, binascii.Error) else "not base64"
            msg = f"as key {place} text that is {what}"
            raise ValueError(msg) from None
        if len(key) != _KEY_BYTES:
            msg = f"as key {place} {len(key)} bytes"
            raise ValueError(msg)
        keys.append(key)
    return tuple(keys)


def printed_keys(keys: tuple[bytes, ...]) -> str:
    """Keys as the settings take them."""
    return ",".join(base64.urlsafe_b64encode(key).decode() for key in keys)


def generated_keys(data_dir: Path) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Sealing and look-up keys of this data folder; made on first use, the same for all who race.

    Raises `KeyfileError` when others may read the file, when it does not hold keys, or when it is
    gone while rows sealed under its keys are there.
    """
    path = data_dir / "keys.env"
    try:
        # Asked first: a database that another process makes meanwhile comes after its keys.
        sealed = (data_dir / "postgres").exists()
        if not path.exists():
            if sealed:
                what = f"no {path}, which the database beside it was sealed with"
                raise KeyfileError(what, "that file put back, or its keys in the environment")
            _make(path)
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            what = f"{path}, which others may read"
            raise KeyfileError(what, f"a file of mode 0600: chmod 600 {path}")
        values = dotenv_values(path)
    except OSError as error:
        what = f"{path}, which cannot be used ({error.strerror})"
        raise KeyfileError(
            what, "another PRUUF_DATA_DIR, or one that this user may write"
        ) from error
    parsed = []
    for name in _NAMES:
        try:
            parsed.append(parse_keys(values.get(name) or ""))
        except ValueError as error:
            what = f"{path}, which has for {name} {error}"
            raise KeyfileError(what, "the file as it was made; rows are sealed under it") from None
    return parsed[0], parsed[1]


def _make(path: Path) -> None:
    make_data_dir(path.parent)
    lines = [f"{name}={printed_keys((secrets.token_bytes(_KEY_BYTES),))}\n" for name in _NAMES]
    draft = path.with_name(f"keys.env.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link fails when the name is taken: whoever comes second uses the first one's keys.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    # Rows sealed under a key must not outlive it in a power cut.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
