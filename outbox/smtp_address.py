"""The address of a mail server as one setting, with who writes and who is written to.

Nothing here repeats a password.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

_PORTS = {"smtp": 587, "smtps": 465}
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


class SmtpAddress(Struct, frozen=True, kw_only=True):
    """Where and how mail to the person on call is handed over."""

    host: str
    port: int
    implicit_tls: bool
    """TLS from the first byte (smtps); else as soon as the server offers it."""
    user: str | None
    password: str | None
    """Null together with the user."""
    sender: str
    recipients: tuple[str, ...]

    @property
    def shown(self) -> str:
        """As it may be shown."""
        scheme = "smtps" if self.implicit_tls else "smtp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def parse(text: str) -> SmtpAddress:
    """Read ``smtp://user:password@host:587/?from=a@b&to=c@d``; `ValueError` with what is wrong."""
    parts, host, port = _server(text)
    if parts.path not in {"", "/"} or parts.fragment:
        msg = "an address with a path (in a user or password, / is written %2F, # %23)"
        raise ValueError(msg)
    # The user name alone, or the password alone, would log nobody in.
    if bool(parts.username) != bool(parts.password):
        msg = "an address with a user or a password, but not both"
        raise ValueError(msg)
    sender, recipients = _people(parts.query)
    return SmtpAddress(
        host=host,
        port=port or _PORTS[parts.scheme],
        implicit_tls=parts.scheme == "smtps",
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        sender=sender,
        recipients=recipients,
    )


def _server(text: str) -> tuple[SplitResult, str, int | None]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        msg = "an address with a malformed host or port"
        raise ValueError(msg) from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0 or re.search(r"\s", text):
        msg = "no address of a mail server"
        raise ValueError(msg)
    return parts, parts.hostname, port


def _people(query: str) -> tuple[str, tuple[str, ...]]:
    """From the query; not by the rules of forms, where + would be a blank."""
    named: dict[str, list[str]] = {"from": [], "to": []}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in named:
            msg = "an address with another parameter than from and to"
            raise ValueError(msg)
        named[name] += [each.strip() for each in unquote(value).split(",") if each.strip()]
    for name, mailboxes in named.items():
        if not mailboxes or (name == "from" and len(mailboxes) > 1):
            msg = (
                f"an address without {name}=" if not mailboxes else "an address with several from="
            )
            raise ValueError(msg)
        if not all(_MAILBOX.fullmatch(each) for each in mailboxes):
            msg = f"an address whose {name}= is no mailbox"
            raise ValueError(msg)
    return named["from"][0], tuple(dict.fromkeys(named["to"]))
