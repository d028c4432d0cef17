"""``pruuf demo``: the whole product on this machine plays a day, and shows what became of it."""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import psycopg
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway.cli.outcome import Exit, err, fail, out
from gateway.cli.send import Sender, batches_of, post_all
from gateway.cli.supervisor import Supervisor
from gateway.demo.report import Result, collect, show, still_open
from gateway.demo.stack import Stack, StackError
from gateway.demo.story import Happening, Person, Story
from outbox.providers.transport import PooledTransport
from outbox.settings import default_data_dir, load
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from outbox.store.keys import Scope
from outbox.store.migrate import migrate

_FINISH_S = 180.0


def _say(text: str) -> None:
    err.print(f"[dim]·[/] {text}")


def demo(
    once: Annotated[bool, typer.Option("--once", help="Check the outcome, then end.")] = False,  # noqa: FBT002
    as_json: Annotated[bool, typer.Option("--json", help="The result for programs.")] = False,  # noqa: FBT002
) -> None:
    """Play a day: embedded Postgres, simulated Twilio and FCM, gateway, relay, dashboard."""
    started = time.monotonic()
    folder = _folder()
    settings = load({"PRUUF_DATA_DIR": str(folder)}, cwd=folder)
    embedded = EmbeddedPostgres(folder, say=_say)
    try:
        url, ours = embedded.ensure()
    except EmbeddedPostgresError as error:
        fail(Exit.UNREACHABLE, "the embedded Postgres does not start", remedy=str(error))
    try:
        migrate(url)
        settings = msgspec.structs.replace(settings, database_url=url)
        with Supervisor() as children:
            stack = Stack(settings, folder, children)
            try:
                stack.start(_say)
            except StackError as error:
                fail(Exit.UNREACHABLE, str(error))
            secret = _key(url)
            result = asyncio.run(_play(stack, url, secret, started))
            if as_json:
                out.print_json(msgspec.json.encode(result).decode())
            else:
                show(result, out)
            if once:
                raise typer.Exit(Exit.FINE if result.ok else Exit.BAD_NEWS)
            if not as_json:
                _invite_to_play(stack, secret)
            raise typer.Exit(children.run())
    finally:
        if ours:
            embedded.stop()


def _key(url: str) -> str:
    with owner_engine(url).begin() as connection:
        name = f"demo {datetime.now(UTC):%Y-%m-%d %H:%M}"
        return keys.create(connection, name=name, scopes=list(Scope)).secret


async def _play(stack: Stack, url: str, secret: str, started: float) -> Result:
    at = stack.addresses
    story = Story(f"{int(time.time()):x}")
    since = datetime.now(UTC)
    async with PooledTransport(total_timeout_s=30.0) as transport:
        sender = Sender(url=at.gateway, key=secret, transport=transport, patience_s=30, on_wait=_say)
        happenings: list[Happening] = []
        registered: set[str] = set()

        async def register() -> None:
            """Register the devices of the people that the story has brought in so far."""
            for person in story.people:
                if person.device is not None and person.id not in registered:
                    registered.add(person.id)
                    await _register(person, transport, at.gateway, secret)

        for title, happening in story.scenes():
            await register()
            await sender.post([(len(happenings), msgspec.json.encode(happening.event))])
            _say(title)
            happenings.append(happening)
        batch = story.batch()
        await register()
        with _progress() as progress:
            task = progress.add_task(f"posting {len(batch):,} more events", total=len(batch))
            await post_all(
                batches_of(msgspec.json.encode(happening.event) for happening in batch),
                sender,
                on_batch=lambda n: progress.advance(task, n),
            )
        happenings += batch
        await _until_final(url, story.source, len(happenings))
        ledger_url = f"{at.simulators}/_sim/ledger?since={since:%Y-%m-%dT%H:%M:%SZ}"
        ledger = await asyncio.to_thread(_read, ledger_url)
    with psycopg.connect(url, autocommit=True) as database:
        return collect(
            database,
            source=story.source,
            happenings=happenings,
            ledger=ledger,
            seconds=time.monotonic() - started,
            addresses=at,
        )


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - an address of ours
        content: bytes = answer.read()
        return content


async def _register(
    person: Person,
    transport: PooledTransport,
    gateway: str,
    secret: str,
) -> None:
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    path = f"{gateway}/v1/recipients/{person.id}"
    who = {"name": person.name, "phone": person.phone}
    device = {"token": person.device, "address_kind": "fid", "platform": "ios"}
    for url, value in ((path, who), (f"{path}/devices/phone", device)):
        body = msgspec.json.encode(value)
        answer = await transport.request("PUT", url, headers=headers, body=body)
        if answer.status >= 300:  # noqa: PLR2004
            msg = f"PUT {url} gave {answer.status}: {answer.body.decode()}"
            raise StackError(msg)


async def _until_final(url: str, source: str, total: int) -> None:
    until = time.monotonic() + _FINISH_S
    with psycopg.connect(url, autocommit=True) as database, _progress() as progress:
        task = progress.add_task("delivering (receipt deadlines take 60 s)", total=total)
        while time.monotonic() < until:
            left = still_open(database, source)
            progress.update(task, completed=max(0, total - left))
            if left == 0:
                return
            await asyncio.sleep(0.5)


def _progress() -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    )


def _invite_to_play(stack: Stack, secret: str) -> None:
    event = {
        "specversion": "1.0",
        "id": "try-1",
        "source": "me",
        "type": "checkin.missed",
        "time": "2026-11-23T09:00:00Z",
        "subject": "m_1",
        "data": {
            "member": {"id": "m_1", "name": "Alice", "phone": "+15557654321"},
            "contacts": [{"id": "c_1", "name": "Bob", "phone": "+15551234567"}],
            "due_at": "2026-11-23T08:30:00Z",
        },
    }
    out.print(" Try it:", markup=False)
    typer.echo(
        f"curl -s {stack.addresses.gateway}/v1/events -H 'Authorization: Bearer {secret}' \\\n"
        f"  -H 'Content-Type: application/json' -d '{msgspec.json.encode(event).decode()}'",
    )
    out.print(" Ctrl-C ends everything.", markup=False)


def _folder() -> Path:
    given = os.environ.get("PRUUF_DATA_DIR")
    home = Path(given) if given else default_data_dir(Path.cwd())
    folder = home / "demo"
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    return folder

