"""``python -m outbox.simulators``: the simulators without the rest of the project."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from outbox.simulators.environment import environment
from outbox.simulators.server import serve


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m outbox.simulators", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9900, help="0 picks a free one")
    parser.add_argument("--ledger", type=Path, required=True, help="SQLite file, made if missing")
    parser.add_argument(
        "--callback",
        help="where acknowledgements, texts of people and webhooks go: http://127.0.0.1:8080",
    )
    parser.add_argument("--seed", type=int, help="repeat the same chances")
    parser.add_argument("--sent-after-ms", type=float, default=50)
    parser.add_argument("--final-after-ms", type=float, default=150)
    parser.add_argument("--slow-ms", type=float, default=15_000, help="until a slow answer")
    parser.add_argument("--print-env", action="store_true", help="print the settings and exit")
    return parser


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    wanted = _arguments().parse_args()
    if wanted.print_env:
        base_url = f"http://{wanted.host}:{wanted.port}"
        values = environment(base_url=base_url, folder=wanted.ledger.parent)
        _say("\n".join(f"{name}={value}" for name, value in values.items()))
        return
    serving = serve(
        host=wanted.host,
        port=wanted.port,
        ledger=wanted.ledger,
        callback=wanted.callback,
        seed=wanted.seed,
        sent_after_s=wanted.sent_after_ms / 1000,
        final_after_s=wanted.final_after_ms / 1000,
        slow_s=wanted.slow_ms / 1000,
        ready=lambda port: _say(f"http://{wanted.host}:{port}"),
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serving)


if __name__ == "__main__":
    main()
