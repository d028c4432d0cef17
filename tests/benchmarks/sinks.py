"""Where the relay's texts go: nginx with a fixed answer, or our own sink where it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request

from gateway.cli.supervisor import Process
from gateway.demo.stack import free_port
from tests.benchmarks import usage
from tests.benchmarks.ground import Ground

# No log and no disk: the sink shall not be what is measured. One process, so that its CPU time is
# one figure. Every answer has an id of its own, as Twilio's have.
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    default_type application/json;
    location = /count {{ stub_status; }}
    location / {{ return 201 '{{"sid":"SM$request_id","status":"queued"}}'; }}
  }}
}}
"""


class ProviderSink:
    """A loopback provider in a process of its own."""

    def __init__(self, ground: Ground) -> None:
        """Start the best one that this machine has."""
        self._ground = ground
        self._nginx = _nginx()
        self._asked = 0
        port = free_port(0)
        self.url = f"http://127.0.0.1:{port}"
        self._process = self._start(port)
        ground.wait(self._process, f"{self.url}/count")

    @property
    def name(self) -> str:
        """Which one, for the report."""
        if self._nginx is None:
            return "uvloop protocol in a process of its own; nginx is not installed"
        said = subprocess.run([self._nginx, "-v"], capture_output=True, text=True, check=False)
        return said.stderr.strip().rpartition(": ")[2].replace("/", " ")

    def _start(self, port: int) -> Process:
        if self._nginx is None:
            command = self._ground.module("tests.benchmarks.sink", str(port))
            return self._ground.start("sink", command, os.environ)
        configuration = self._ground.folder / "nginx.conf"
        configuration.write_text(_NGINX.format(folder=self._ground.folder, port=port))
        command = [self._nginx, "-p", str(self._ground.folder), "-e", "stderr"]
        command += ["-c", str(configuration)]
        return self._ground.start("sink", command, os.environ)

    def cpu_s(self) -> float | None:
        """CPU seconds of the sink so far."""
        return usage.cpu_s(self._process.pid)

    def requests(self) -> int:
        """Requests that it has answered, without those that ask this."""
        with urllib.request.urlopen(f"{self.url}/count", timeout=10) as answered:
            text = answered.read().decode()
        if self._nginx is None:
            return int(text)
        # The third line of the status page: connections accepted, handled, and requests, the
        # one for the page included.
        self._asked += 1
        return int(text.splitlines()[2].split()[2]) - self._asked

    def end(self) -> None:
        """End it."""
        self._ground.end(self._process)


def _nginx() -> str | None:
    # Debian's is in sbin, which the path of an ordinary user may lack.
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
