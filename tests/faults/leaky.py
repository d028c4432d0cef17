"""The gateway's command with its redaction off: the hunt has to find what this emits.

``python -m tests.faults.leaky gateway`` runs a process that tells what it must not.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from pathlib import Path

from gateway import decoding
from gateway.auth import KeyRing
from observability import http_spans, logs
from observability.tracing import Span
from outbox.providers import transport
from outbox.providers.transport import Answer, PooledTransport
from outbox.store.keys import Scope


def _all_of_it(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _whole_url(outer: Span, method: str, url: str) -> Span:
    span = http_spans.requesting(outer, method, url)
    span.attributes["url.full"] = url
    return span


def _tell_what_comes_in() -> None:
    """Bodies and keys, as they are posted."""
    decode, authorize = decoding.decode, KeyRing.authorize

    def loud(decoder: object, raw: bytes, **more: bool) -> object:
        logs.wide("decoded", raw=raw.decode(errors="replace"))
        return decode(decoder, raw, **more)  # type: ignore[arg-type]

    async def told(self: KeyRing, header: str | None, *scopes: Scope) -> object:
        logs.wide("authorized", header=header)
        return await authorize(self, header, *scopes)

    decoding.decode = loud  # type: ignore[assignment]
    KeyRing.authorize = told  # type: ignore[assignment, method-assign]


def main() -> None:
    """Take the redaction away, tell all settings, and run the command."""
    quiet = PooledTransport.request

    async def loud(
        self: PooledTransport,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float | None = None,
    ) -> Answer:
        said = (body or b"").decode(errors="replace")
        logs.wide("request", url=url, headers=dict(headers), body=said)
        return await quiet(self, method, url, headers=headers, body=body, timeout_s=timeout_s)

    logs.places = _all_of_it
    transport.requesting = _whole_url  # type: ignore[attr-defined]
    PooledTransport.request = loud  # type: ignore[method-assign]
    configured = logs.configure

    def configure(*, level: str = "INFO") -> None:
        configured(level=level)
        account = Path(os.environ["GOOGLE_APPLICATION_CREDENTIALS"]).read_text()
        logs.wide("settings", account=account, **os.environ)

    logs.configure = configure
    _tell_what_comes_in()
    from gateway import failures  # noqa: PLC0415 - what it imports has been changed above
    from gateway.cli.main import main as run  # noqa: PLC0415 - the same

    failures.places = _all_of_it  # type: ignore[attr-defined]
    run()


if __name__ == "__main__":
    main()
