"""Signing in, in a browser, against a provider on loopback; the dashboard listens everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.oidc import CLIENT, SECRET, Provider, provider
from tests.browser.surf import MARKS, chromium, dashboard, free_port, opened, sees, settled

pytestmark = MARKS

_ANN = {"sub": "u-1", "email": "Ann@pruuf.example", "email_verified": True}
_INSIDE = "No relay is alive"


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def _file(folder: Path, port: int, made: Provider) -> Path:
    path = folder / "sign-in.toml"
    path.touch(0o600)
    path.write_text(
        "[auth]\n"
        f'redirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
        f'cookie_secret = "{"c" * 40}"\n'
        f'client_id = "{CLIENT}"\n'
        f'client_secret = "{SECRET}"\n'
        f'server_metadata_url = "{made.url}/.well-known/openid-configuration"\n'
        'allow = ["@pruuf.example", "sub:u-9"]\n'
    )
    return path


def _sign_in(page: Page) -> None:
    page.get_by_role("button", name="Sign in").first.click()


def _was_asked(made: Provider, times: int) -> None:
    assert made.issued == times


def _is_outside(page: Page) -> None:
    expect(page.locator("body")).not_to_contain_text(_INSIDE)
    expect(page.get_by_role("link", name="Outbox")).to_have_count(0)


def test_only_who_may_sees_the_pages(database_url: str, browser: Browser, tmp_path: Path) -> None:
    port = free_port()
    with provider() as made:
        environ = {
            "DATABASE_URL": database_url,
            "PRUUF_HOST": "0.0.0.0",
            "PRUUF_DASHBOARD_SIGN_IN": str(_file(tmp_path, port, made)),
        }
        with (
            dashboard(environ, port=port) as address,
            opened(browser, f"{address}/outbox") as page,
        ):
            sees(page, "Sign in to see these pages.")
            _is_outside(page)

            # A token that the provider did not sign is no word of it.
            made.claims, made.forged = _ANN, True
            _sign_in(page)
            settled(page, partial(_was_asked, made, 1))
            page.goto(f"{address}/outbox")
            sees(page, "Sign in to see these pages.")
            _is_outside(page)

            # Somebody whom the provider knows, and nobody here.
            made.claims = {**_ANN, "email": "mallory@elsewhere.example", "sub": "u-2"}
            made.forged = False
            _sign_in(page)
            sees(page, "You are not among those who may see these pages.")
            _is_outside(page)
            made.claims = {**_ANN, "email_verified": False}
            page.get_by_role("button", name="Sign in anew").click()
            sees(page, "Sign in to see these pages.")
            _sign_in(page)
            sees(page, "does not say that your address is yours")
            _is_outside(page)

            page.get_by_role("button", name="Sign in anew").click()
            sees(page, "Sign in to see these pages.")
            made.claims = _ANN
            _sign_in(page)
            sees(page, _INSIDE)
            page.goto(f"{address}/outbox")
            sees(page, "No relay is alive: nothing is being delivered.")
            assert made.refused == []
            # The cookie is nothing to scripts, and nothing without its signature.
            cookies = {each["name"]: each for each in page.context.cookies()}
            mine = cookies["_streamlit_user"]
            assert mine["httpOnly"]
            forged = mine["value"][:-4] + "AAAA"
            page.context.add_cookies([{"name": mine["name"], "value": forged, "url": address}])
            page.goto(f"{address}/outbox")
            sees(page, "Sign in to see these pages.")
            _is_outside(page)
