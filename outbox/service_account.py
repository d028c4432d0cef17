"""A service account's file, seen to be one."""

from __future__ import annotations

from pathlib import Path

import msgspec

_FIELDS = ("project_id", "private_key", "client_email", "token_uri")
_OTHERS_READ = 0o004


def wrong_with(path: Path) -> str | None:
    """What is wrong with a service account's file; null when nothing is."""
    try:
        mode = path.stat().st_mode
        account = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except FileNotFoundError:
        return f"{path}, which does not exist"
    except OSError as error:
        return f"{path}, which cannot be read ({error.strerror})"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"{path}, which is no JSON object"
    if account.get("type") != "service_account":
        return f"{path}, which is not of a service account"
    missing = [name for name in _FIELDS if not account.get(name)]
    if missing:
        return f"{path}, which lacks {', '.join(missing)}"
    open_ = mode & _OTHERS_READ
    return f"{path}, which everybody on this machine may read (chmod 600)" if open_ else None
