"""The tests' own rules: loopback only, no skip in CI, and nothing left behind by a killed run."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from outbox.providers.transport import PooledTransport

_HERE = Path(__file__).parents[2]
# Of the addresses that documents use; nothing answers there.
_OUTSIDE = "192.0.2.1"


@pytest.mark.parametrize("host", [_OUTSIDE, "2001:db8::1", "pruuf.example"])
def test_a_name_or_address_outside_is_refused(host: str) -> None:
    with pytest.raises(PermissionError, match=f"loopback only, not {host}"):
        socket.getaddrinfo(host, 80)
    with socket.socket() as outward:
        with pytest.raises(PermissionError, match=host):
            outward.connect((host, 80))
        with pytest.raises(PermissionError, match=host):
            outward.connect_ex((host, 80))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", b"localhost", "::1", None])
def test_loopback_is_not(host: str | bytes | None) -> None:
    assert socket.getaddrinfo(host, 80)


def test_a_client_that_honours_proxies_is_refused_as_well() -> None:
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"http://{_OUTSIDE}/", timeout=5)


async def test_our_own_client_that_knows_no_proxy_is_refused_as_well() -> None:
    async with PooledTransport(total_timeout_s=5.0) as transport:
        with pytest.raises(PermissionError, match=_OUTSIDE):
            await transport.request("GET", f"http://{_OUTSIDE}/", headers={}, body=None)


def run_pytest(folder: Path, *contents: str, **env: str) -> subprocess.Popen[str]:
    for place, content in enumerate(contents):
        (folder / f"test_inner_{place}.py").write_text(content)
    outer = {name: value for name, value in os.environ.items() if name != "CI"}
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", os.devnull, "-s"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, "--continue-on-collection-errors", str(folder)],
        cwd=_HERE,
        env={**outer, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


_SKIPS = (
    "import pytest\ndef test_a(): pytest.skip('no engine')\n",
    "import pytest\n@pytest.mark.skip('no engine')\ndef test_a(): pass\n",
    "import pytest\npytest.skip('no engine', allow_module_level=True)\n",
    "import pytest\npytest.importorskip('no_engine')\ndef test_a(): pass\n",
)


def test_a_skip_is_an_error_in_ci(tmp_path: Path) -> None:
    with run_pytest(tmp_path, *_SKIPS, CI="true") as run:
        told, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "skipped" not in told.splitlines()[-1]
    for place in range(len(_SKIPS)):
        assert re.search(rf"test_inner_{place}\.py\S* was skipped in CI: .*engine", told), told


def test_elsewhere_a_skip_is_none(tmp_path: Path) -> None:
    with run_pytest(tmp_path, *_SKIPS) as run:
        told, _ = run.communicate(timeout=60)
    assert "4 skipped" in told.splitlines()[-1]


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    content = "import pytest\n@pytest.mark.xfail\ndef test_a(): assert False\n"
    with run_pytest(tmp_path, content, CI="true") as ci:
        told, _ = ci.communicate(timeout=60)
    assert ci.returncode == 0
    assert "1 xfailed" in told


def test_a_terminated_run_takes_its_server_with_it(tmp_path: Path) -> None:
    content = (
        "import time\n"
        "def test_a(postgres, data_dir):\n"
        "    print('\\nFOLDER', data_dir, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with run_pytest(tmp_path, content) as run:
        folder = _folder(run)
        assert (folder / "postgres" / "postmaster.pid").exists()
        run.terminate()
        told, _ = run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM
    assert "ended by SIGTERM" in told
    assert not folder.exists()


def _folder(run: subprocess.Popen[str]) -> Path:
    assert run.stdout is not None
    for line in run.stdout:
        if line.startswith("FOLDER"):
            return Path(line.split()[1])
    msg = f"it ended with {run.wait(60)}"
    raise AssertionError(msg)
