"""``python -m dashboard``: serves the pages; ends with exit code 0 on SIGTERM."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from streamlit.web import cli

from dashboard import sign_in, theme
from dashboard.sign_in import NAME, SignIn, is_near
from outbox.settings import Settings, SettingsError, load

_BAD_SETTINGS = 2
_UNREACHABLE = 3


def options(settings: Settings, signing_in: SignIn | None) -> dict[str, str]:
    """Streamlit's options; they win over a ``config.toml`` of this machine."""
    secrets = {} if signing_in is None else {"secrets.files": str(signing_in.file)}
    where = {} if signing_in is None else {"browser.serverAddress": signing_in.host}
    return {
        **secrets,
        # Whose pages may open a channel to this one; without it Streamlit asks a service outside.
        **where,
        # Nobody is believed to be somebody but by signing in, and nobody comes in by another door.
        "server.trustedUserHeaders": "{}",
        "server.enableAgentApi": "false",
        "server.address": settings.host,
        "server.port": str(settings.dashboard_port),
        "server.headless": "true",
        # The code does not change under a running process, and watching it costs.
        "server.fileWatcherType": "none",
        "server.enableStaticServing": "false",
        # A run that is asked for while another goes on follows it in order. Otherwise both write
        # to the page, and what the later one draws last may be missing for good.
        "runner.fastReruns": "false",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        # A fault of ours is told in the log, not to every reader.
        "client.showErrorDetails": "none",
        **theme.options(),
    }


def _end(*_: object) -> NoReturn:
    sys.exit(0)


def _see_near(settings: Settings) -> None:
    """Where nobody signs in, whoever reaches the pages reads them."""
    if is_near(settings.host):
        return
    port = settings.dashboard_port
    sys.stderr.write(
        f"✗ without sign-in the dashboard listens on loopback only, not on {settings.host}"
        " — PRUUF_HOST\n"
        "  Start it with PRUUF_HOST=127.0.0.1; from elsewhere reach it through a tunnel:"
        f" ssh -L {port}:127.0.0.1:{port} this-machine\n"
        f"  Or let people sign in: {NAME}, as runbooks/reference/dashboard.md shows.\n"
    )
    sys.exit(_BAD_SETTINGS)


def _see_free(settings: Settings) -> None:
    """Streamlit does not tell whose port is taken, nor which setting moves it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        socket.create_server((settings.host, settings.dashboard_port), family=family).close()
    except OSError as error:
        where = f"{settings.host}:{settings.dashboard_port}"
        names = "PRUUF_DASHBOARD_PORT, PRUUF_HOST"
        sys.stderr.write(
            f"✗ the dashboard cannot listen on {where}: {error.strerror} — {names}\n"
            "  Set them to a free port and an address of this machine.\n"
        )
        sys.exit(_UNREACHABLE)


def main() -> None:
    """Check the settings, then serve until SIGTERM or SIGINT."""
    # Until Streamlit has handlers of its own.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        settings = load()
        settings.require_database()
        signing_in = sign_in.read(settings)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_BAD_SETTINGS)
    if signing_in is None:
        _see_near(settings)
    _see_free(settings)
    where = f"[{settings.host}]" if ":" in settings.host else settings.host
    how = "without sign-in: loopback only"
    if signing_in is not None:
        how = f"with sign-in; known to browsers as {signing_in.host}"
    sys.stderr.write(f"dashboard on http://{where}:{settings.dashboard_port}   {how}\n")
    # Streamlit speaks on stdout from its signal handler: with the reader gone that would fail,
    # and keep it from ending.
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the end
    page = Path(__file__).with_name("app.py")
    flags = [f"--{name}={value}" for name, value in options(settings, signing_in).items()]
    cli.main(["run", str(page), *flags], prog_name="dashboard")


if __name__ == "__main__":
    main()
