"""An endpoint for webhooks that takes, refuses or ignores them as a test wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import stripe
from msgspec import Struct

from outbox.simulators.stripe.webhooks import SECRETS
from tests.contract.simulated import WITHIN_S


class Taken(Struct, frozen=True):
    """One request as it came."""

    path: str
    signature: str
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found

    def verified(self, secret: str = SECRETS[0]) -> stripe.Event:
        """By the SDK; it raises where the signature is not right."""
        made: stripe.Event = stripe.Webhook.construct_event(self.body, self.signature, secret)
        return made


class Endpoint:
    """What came, and what is answered."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.taken: list[Taken] = []
        self._more = threading.Condition()

    def take(self, taken: Taken) -> None:
        with self._more:
            self.taken.append(taken)
            self._more.notify_all()

    def wait(self, count: int) -> list[Taken]:
        """So many requests, as soon as they are there."""
        until = time.monotonic() + WITHIN_S
        with self._more:
            while len(self.taken) < count:
                assert self._more.wait(until - time.monotonic())
        return self.taken

    def types(self) -> list[str]:
        return [one.event["type"] for one in self.taken]


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signature = self.headers["Stripe-Signature"]
            made.take(Taken(path=self.path, signature=signature, body=body))
            self.send_response(made.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made = Endpoint(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
