"""``pruuf send``: posts events from NDJSON. Run again, it repeats nothing: keys are idempotent."""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import urlsplit

import typer

from gateway.cli.lines import batches, chunks
from gateway.cli.outcome import Exit, bad, clean, err, fail, good, print_json
from gateway.cli.progress import Progress
from gateway.cli.sending import (
    TIMEOUT_S,
    AwayError,
    KeyRefusedError,
    Report,
    Sender,
    post_all,
)
from gateway.cli.signals import Stopped, run
from outbox.providers.transport import PooledTransport

_STDIN = 0
_SHOWN = 20
_AGAIN = "What was accepted stays accepted; run the same command again to go on."


def send(
    file: Annotated[str, typer.Argument(help="NDJSON, one CloudEvent a line; - reads stdin.")],
    url: Annotated[
        str | None,
        typer.Option(help="The gateway; or PRUUF_URL; else http://127.0.0.1:8080."),
    ] = None,
    key: Annotated[str | None, typer.Option(help="API key; or PRUUF_API_KEY.")] = None,
    patience_s: Annotated[
        float, typer.Option(min=0, help="How long a gateway may be away.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,  # noqa: FBT002
) -> None:
    """Post events from NDJSON; safe to run again, as what was accepted is recognised."""
    target = _target(url)
    secret = _secret(key)
    descriptor = _open(file)
    report = Report()
    try:
        with Progress("posted", total=None) as progress:
            run(_send(descriptor, target, secret, patience_s, report, progress))
    except Stopped as stopped:
        err.print(f"stopped after {report.accepted + report.duplicate:,} events. {_AGAIN}")
        raise typer.Exit(stopped.exit_code) from None
    except AwayError as away:
        fail(Exit.UNREACHABLE, f"{away} — --url or PRUUF_URL", remedy=_AGAIN)
    except KeyRefusedError as refused:
        remedy = "Make one: pruuf key create NAME --scope events"
        fail(Exit.WRONG_USE, f"{refused} — --key or PRUUF_API_KEY", remedy=remedy)
    except OSError as error:
        fail(Exit.UNREACHABLE, f"{file} cannot be read: {error.strerror}", remedy=_AGAIN)
    finally:
        if descriptor != _STDIN:
            os.close(descriptor)
    _print(report, as_json=as_json)
    if report.refused_in_all:
        raise typer.Exit(Exit.BAD_NEWS)


def _print(report: Report, *, as_json: bool) -> None:
    report.refused.sort(key=lambda refused: refused.line)
    if as_json:
        print_json(report)
        return
    told = bad if report.refused_in_all else good
    told(
        f"{report.accepted:,} accepted, {report.duplicate:,} were there already, "
        f"{report.refused_in_all:,} refused → {report.notifications:,} notifications",
    )
    for refused in report.refused[:_SHOWN]:
        err.print(f"  line {refused.line}: {clean(refused.reason)}")
    more = report.refused_in_all - _SHOWN
    if more > 0:
        err.print(f"  and {more:,} more; --json has their reasons")


def _target(url: str | None) -> str:
    target = url or os.environ.get("PRUUF_URL") or "http://127.0.0.1:8080"
    try:
        parts = urlsplit(target)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right or any(letter.isspace() for letter in target):
        fail(
            Exit.WRONG_USE,
            f"{target} is no address of a gateway — --url or PRUUF_URL",
            remedy="accepted: an address like http://127.0.0.1:8080",
        )
    return target


def _secret(key: str | None) -> str:
    secret = (key or os.environ.get("PRUUF_API_KEY") or "").strip()
    if not secret.isascii() or not secret.isprintable() or not secret:
        what = "this is no API key" if secret else "an API key is needed"
        fail(
            Exit.WRONG_USE,
            f"{what} — --key or PRUUF_API_KEY",
            remedy="Make one: pruuf key create NAME --scope events",
        )
    return secret


def _open(file: str) -> int:
    if file == "-":
        return _STDIN
    try:
        descriptor = os.open(file, os.O_RDONLY)
        os.read(descriptor, 0)
    except OSError as error:
        fail(Exit.WRONG_USE, f"{file} cannot be read: {error.strerror} — FILE")
    return descriptor


async def _send(
    descriptor: int,
    url: str,
    key: str,
    patience_s: float,
    report: Report,
    progress: Progress,
) -> None:
    async with PooledTransport(total_timeout_s=TIMEOUT_S) as transport:
        sender = Sender(
            url=url,
            key=key,
            transport=transport,
            patience_s=patience_s,
            on_wait=progress.note,
            report=report,
        )
        await post_all(batches(chunks(descriptor)), sender, on_lines=progress.advance)
