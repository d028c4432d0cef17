"""``pruuf doctor``: whether others can listen on the line to Postgres, or pretend to be it."""

from __future__ import annotations

import ipaddress
from typing import Any

import psycopg

from gateway.cli.checks import Check

_VERIFIED = "verify-full"
_REMEDY = (
    "Add sslmode=verify-full to DATABASE_URL, and sslrootcert=… for an authority of your own. What"
    " is personal is sealed on this line; ids, states and times are not, and the password is worth"
    " as much as the server that it is shown to."
)


def of_line(connection: psycopg.Connection[Any]) -> Check:
    """The line of an open connection."""
    info = connection.info
    return judged(
        host=info.host,
        address=info.hostaddr,
        encrypted=connection.pgconn.ssl_in_use,
        mode=info.get_parameters().get("sslmode", "prefer"),
    )


def judged(*, host: str, address: str, encrypted: bool, mode: str) -> Check:
    """Fine on this machine; elsewhere encrypted, to a server whose name was verified.

    ``host`` as it was asked for, ``address`` as it was found, or empty; ``mode``: libpq's sslmode.
    """
    name = "line to Postgres"
    if _is_here(address or host):
        return Check(name, ok=True, detail="does not leave this machine")
    if not encrypted:
        return Check(name, ok=False, detail="not encrypted", remedy=_REMEDY)
    if mode != _VERIFIED:
        detail = f"encrypted, but whose server it is was not verified (sslmode={mode})"
        return Check(name, ok=False, detail=detail, remedy=_REMEDY)
    return Check(name, ok=True, detail="encrypted, and the server's name verified")


def _is_here(host: str) -> bool:
    """A folder of sockets, or a loopback address."""
    if host.startswith(("/", "@")) or host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
