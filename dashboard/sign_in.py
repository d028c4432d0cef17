"""Who may see the pages: by OpenID Connect where it is set up, everybody on this machine otherwise.

Streamlit speaks with the provider and signs the cookie; who of those that the provider knows may
enter, and for how long, is decided here, each time that a part of a page is drawn.
"""

from __future__ import annotations

import ipaddress
import stat
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from msgspec import Struct

from dashboard import theme
from dashboard.theme import Sentence
from outbox.settings import Problem, Settings, SettingsError

NAME = "PRUUF_DASHBOARD_SIGN_IN"
_ACCEPTED = "a TOML file of mode 0600, as runbooks/reference/dashboard.md shows"
_CALLBACK = "/oauth2callback"
_LONGEST_S = 12 * 3600.0
"""From a sign-in to the next: the cookie lasts longer, and who has left must not stay in."""
_CLOCKS_S = 300.0
"""How far the provider's clock may be ahead."""
_SECRET = 32
"""Characters of the least secret that signs cookies."""

_NEEDED = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")


def is_near(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class SignIn(Struct, frozen=True, kw_only=True):
    """How people sign in."""

    file: Path
    """In Streamlit's own form, which reads it too."""
    allow: tuple[str, ...]
    """Addresses in lower case, domains as ``@example.com``, subjects as ``sub:…``."""
    host: str
    """The dashboard's as browsers know it."""


def read(settings: Settings) -> SignIn | None:
    """What is set up; null: nobody signs in. Raises `SettingsError` with what is wrong."""
    path = settings.dashboard_sign_in
    if path is None:
        return None
    auth: Mapping[str, Any] = {}
    try:
        mode = path.stat().st_mode
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        auth = found.get("auth", {})
        wrong = _wrong_with(auth)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            wrong = f", which others than its owner may read or write: chmod 600 {path}"
    except OSError as error:
        wrong = f", which cannot be read ({error.strerror})"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # Not the parser's words: they may quote a secret.
        wrong = ", which is no TOML in UTF-8"
    if wrong is not None:
        raise SettingsError([Problem(NAME, f"{path}{wrong}", _ACCEPTED)])
    return SignIn(
        file=path,
        allow=tuple(map(_plain, auth["allow"])),
        host=urlsplit(auth["redirect_uri"]).hostname or "",
    )


def _wrong_with(auth: object) -> str | None:  # noqa: PLR0911 - one return for each rule
    """What keeps ``[auth]`` from being used; null when nothing does."""
    if not isinstance(auth, dict):
        return " with an auth that is no table"
    for name in _NEEDED:
        if not isinstance(auth.get(name), str) or not auth[name]:
            return f" without {name} in [auth]"
    if len(auth["cookie_secret"]) < _SECRET:
        return f" with a cookie_secret of fewer than {_SECRET} characters"
    if not urlsplit(auth["redirect_uri"]).path.endswith(_CALLBACK):
        return f" with a redirect_uri that does not end with {_CALLBACK}"
    for name in ("redirect_uri", "server_metadata_url"):
        address = urlsplit(auth[name])
        near = address.scheme == "http" and is_near(address.hostname or "")
        if not address.hostname or not (near or address.scheme == "https"):
            return f" with a {name} without https, which only loopback may lack"
    allow = auth.get("allow")
    if not isinstance(allow, list) or not allow or not all(isinstance(a, str) for a in allow):
        # Whoever has an account somewhere would else be let in.
        return " without allow in [auth]: who may enter"
    wrong = next((each for each in allow if not _names(each)), None)
    return None if wrong is None else f" with {wrong[:80]!r} in allow"


def _plain(entry: str) -> str:
    return entry if entry.startswith("sub:") else entry.strip().lower()


def _names(entry: str) -> bool:
    """Whether it names somebody: a subject, a whole domain, or an address."""
    if entry.startswith("sub:"):
        return len(entry) > len("sub:")
    return "@" in entry and "." in entry.rpartition("@")[2]


def refusal(sign_in: SignIn, claims: Mapping[str, Any], now: float) -> str | None:
    """Why somebody with these claims may not enter at this time; null: they may."""
    issued_at = claims.get("iat")
    if not isinstance(issued_at, int | float) or isinstance(issued_at, bool):
        return "The provider did not say when you signed in."
    if not -_CLOCKS_S <= now - issued_at <= _LONGEST_S:
        return "It is more than twelve hours since you signed in."
    subject = claims.get("sub")
    if subject and f"sub:{subject}" in sign_in.allow:
        return None
    email = str(claims.get("email") or "").lower()
    if claims.get("email_verified") is not True:
        # Some providers let everybody claim any address.
        return "The provider does not say that your address is yours."
    name, at, domain = email.rpartition("@")
    if name and at and (email in sign_in.allow or f"@{domain}" in sign_in.allow):
        return None
    return "You are not among those who may see these pages."


def let_in(sign_in: SignIn | None) -> bool:
    """Whether whoever looks at the page may see it; says what to do otherwise."""
    if sign_in is None:
        return True
    if not st.user.is_logged_in:
        st.title("Pruuf", anchor=False)
        with st.container(key="actions"):
            theme.say(Sentence("look", "Sign in to see these pages."))
            st.button("Sign in", type="primary", on_click=st.login)
        return False
    why = refusal(sign_in, _claims(), time.time())
    if why is None:
        return True
    st.title("Pruuf", anchor=False)
    with st.container(key="actions"):
        theme.say(Sentence("bad", why))
        st.button("Sign in anew, or as somebody else", on_click=st.logout)
    return False


def may_see(sign_in: SignIn | None) -> bool:
    """The same for a part of a page, which goes on drawing itself while its page lies open."""
    if sign_in is None:
        return True
    return bool(st.user.is_logged_in) and refusal(sign_in, _claims(), time.time()) is None


def way_out(sign_in: SignIn | None) -> None:
    """Who is signed in, and how to end that."""
    if sign_in is None:
        return
    claims = _claims()
    with st.sidebar:
        theme.soft(f"Signed in as {claims.get('email') or claims.get('sub')}")
        st.button("Sign out", on_click=st.logout)


def _claims() -> Mapping[str, Any]:
    return dict(st.user.to_dict())
