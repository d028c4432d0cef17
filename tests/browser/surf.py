"""A real browser before the real pages: what a person would see, in words and figures."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 60_000
KEYS = {"PRUUF_KEYS": "A" * 43, "PRUUF_LOOKUP_KEYS": "A" * 43}

MARKS = [
    pytest.mark.browser,
    pytest.mark.newest,
    pytest.mark.skipif(
        _CHROMIUM is None,
        reason="no browser; install one: apt-get update && apt-get install -y chromium",
    ),
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_FLAGS))
        yield browser
        browser.close()


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def dashboard(environ: Mapping[str, str], *, port: int | None = None) -> Iterator[str]:
    """The real process; its address. It must end with 0 on SIGTERM."""
    port = port or free_port()
    given = {**os.environ, **KEYS, **environ, "PRUUF_DASHBOARD_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "dashboard"], env=given)
    address = f"http://127.0.0.1:{port}"
    try:
        _await_health(process, address)
        yield address
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _await_health(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health") as answer:
                assert answer.status == 200
                return
        except urllib.error.URLError:
            time.sleep(0.1)
    pytest.fail(f"the dashboard did not start (exit code {process.poll()})")


@contextmanager
def opened(
    browser: Browser, url: str, *, width: int = 1280, scheme: str = "light"
) -> Iterator[Page]:
    """A page that may speak to loopback only and must not complain."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    outside: list[str] = []
    complaints: list[str] = []

    def note(address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in {"data", "blob"} and parts.hostname != "127.0.0.1":
            outside.append(address)

    page.on("request", lambda request: note(request.url))
    page.on("websocket", lambda channel: note(channel.url))
    page.on("console", lambda said: complaints.append(said.text) if _is_fault(said) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    yield page
    assert outside == []
    assert complaints == []
    context.close()


def metric(page: Page, label: str) -> str:
    box = page.get_by_test_id("stMetric").filter(has_text=label)
    return box.get_by_test_id("stMetricValue").inner_text(timeout=WAIT_MS).strip()


def cells(page: Page, caption: str) -> list[list[str]]:
    table = page.locator("table", has=page.locator("caption", has_text=caption))
    expect(table).to_be_visible(timeout=WAIT_MS)
    rows = table.locator("tbody tr").all()
    return [[text.strip() for text in row.locator("td").all_inner_texts()] for row in rows]


def _is_fault(said: ConsoleMessage) -> bool:
    """Below the own address of a page Streamlit looks for itself first, and complains."""
    known = "404" in said.text and "_stcore" in str(said.location)
    return said.type == "error" and not known


def sees(page: Page, *texts: str) -> None:
    """The page says all this, and shows no fault of ours."""
    body = page.locator("body")
    for text in texts:
        expect(body).to_contain_text(text, timeout=WAIT_MS)
    expect(body).not_to_contain_text("Traceback")


def settled(page: Page, check: Callable[[], None]) -> None:
    """What is shown and what is stored come to agree: a relay goes on counting meanwhile."""
    until = time.monotonic() + WAIT_MS / 1000
    while True:
        try:
            check()
        except AssertionError:
            if time.monotonic() > until:
                raise
            page.wait_for_timeout(250)
        else:
            return


def fits(page: Page) -> None:
    """Nothing hangs over the side."""
    main = "document.querySelector('[data-testid=stMain]')"
    assert page.evaluate(f"{main}.scrollWidth <= {main}.clientWidth + 1")
