"""``pruuf callbacks``: genuine callbacks that could not be applied, and what one of them said."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
import typer
from rich.table import Table

from gateway.cli.acting import identity_of
from gateway.cli.database import database, reader, settings_or_exit
from gateway.cli.outcome import Exit, clean, err, fail, out, print_json
from gateway.cli.search import Json, Since, moment
from outbox.domain.masking import masked
from outbox.sealing import Sealer, UnsealError
from outbox.settings import Settings
from outbox.store.connect import Role
from outbox.store.inbox_reads import PROVIDERS, Failures, Kept, Wanted, callback, failures
from outbox.store.listing import encode_cursor
from outbox.store.reading import run

_MOST = 1000


def callbacks(
    identity: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Shows what this one said, masked.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option(metavar="PROVIDER", help=", ".join(PROVIDERS))
    ] = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST)] = 50,
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Which callbacks could not be applied, newest first; pruuf redrive puts them back.

    Of one: its body as the provider signed it. Names, numbers, addresses, cards and secrets are
    masked, as is whatever is not known to be harmless.
    """
    if provider is not None and provider not in PROVIDERS:
        accepted = f"accepted: {', '.join(PROVIDERS)}"
        fail(Exit.WRONG_USE, f"{provider} calls nobody back — --provider", remedy=accepted)
    wanted = Wanted(provider=provider, since=moment(since), limit=limit)
    one = None if identity is None else identity_of(identity)
    with database(settings_or_exit()) as settings:
        if one is not None:
            _show(settings, one, as_json=as_json)
            return
        with reader(settings) as connection:
            page = run(connection, failures(wanted))
    if as_json:
        after = None if page.next is None else encode_cursor(page.next)
        print_json({"items": page.items, "next": after})
    else:
        _print(page)


def _print(page: Failures) -> None:
    if not page.items:
        out.print("Every callback that was taken could be applied, or waits for its turn.")
        return
    table = Table("received", "from", "tries", "error", "id", box=None)
    for item in page.items:
        table.add_row(
            f"{item.received_at.astimezone():%Y-%m-%d %H:%M:%S}",
            clean(item.provider),
            str(item.tries),
            clean(item.error),
            str(item.id),
        )
    out.print(table)
    if page.next is not None:
        err.print(f"There are more than {len(page.items):,}: --limit, or a narrower question.")


def _show(settings: Settings, wanted: UUID, *, as_json: bool) -> None:
    with reader(settings, Role.GATEWAY) as connection:
        found = run(connection, callback(wanted))
    if found is None:
        remedy = "pruuf callbacks shows those that could not be applied."
        fail(Exit.BAD_NEWS, f"there is no callback {wanted}", remedy=remedy)
    body = _body(settings, found)
    if as_json:
        shown = msgspec.structs.asdict(found)
        shown |= {"state": found.state, "tries": found.tries, "body": body}
        print_json(shown)
        return
    out.print(f" {clean(found.provider)}  {clean(found.said)}")
    tried = "" if found.done_at is None else f", tried {found.tries} times"
    why = f": {clean(found.note)}" if found.state == "failed" and found.note else ""
    out.print(f" {found.state}{tried}{why}")
    for each in found.redrives:
        when = f"{each.at.astimezone():%Y-%m-%d %H:%M:%S}"
        out.print(f" {when}  {clean(each.actor)}: {each.result} ({clean(each.reason)})")
    print_json(body)


def _body(settings: Settings, found: Kept) -> object:
    if not found.body:
        return None
    sealer = Sealer(settings.keys, settings.lookup_keys)
    try:
        return masked(
            sealer.unseal(found.body, table="inbox", row=str(found.id), field="body"),
        )
    except UnsealError:
        err.print("its body cannot be opened with the keys that are set — PRUUF_KEYS")
        return None
