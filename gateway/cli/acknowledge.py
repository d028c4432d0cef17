"""``pruuf acknowledge``: somebody on call knows of an alert, and is not paged for it again."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import spans
from gateway.cli.acting import Reason, Yes, actor, confirm, reason_of
from gateway.cli.database import answered, database, settings_or_exit
from gateway.cli.outcome import Exit, fail, good, print_json
from gateway.cli.search import Json
from gateway.cli.signals import run
from observability.slos import definitions
from outbox.domain.acknowledging import LONGEST_S, Acknowledgement
from outbox.settings import Settings
from outbox.store import acknowledgements
from outbox.store.connect import Role, connect


def acknowledge(
    alert: Annotated[str, typer.Argument(metavar="ALERT", help="Such as ProviderDown.")],
    label: Annotated[
        str,
        typer.Option(
            metavar="LABEL",
            help="What it is about, as twilio; of Parked the reason. Nothing where there is one.",
        ),
    ] = "",
    lasts: Annotated[
        str | None,
        typer.Option("--for", metavar="SPAN", help="Such as 2h; at most 8h. 0s takes it back."),
    ] = None,
    reason: Reason = None,
    yes: Yes = False,  # noqa: FBT002 - a flag
    as_json: Json = False,  # noqa: FBT002 - a flag
) -> None:
    """Say that you know of an alert: nobody is paged for it again until then.

    If it ends before and fires anew, it pages.
    """
    known = sorted(definitions().alerts)
    if alert not in known:
        accepted = f"accepted: {', '.join(known)}"
        fail(Exit.WRONG_USE, f"{alert[:80]} is no alert — ALERT", remedy=accepted)
    why = reason_of(reason, dry_run=False)
    for_s = spans.seconds(lasts, least=0, most=LONGEST_S)
    name = f"{alert} ({label})" if label else alert
    what = f"page nobody for {name} for {lasts}" if for_s else f"page for {name} again"
    confirm(what, yes=yes)
    with database(settings_or_exit()) as settings, answered():
        made = run(_acknowledge(settings, alert, label, for_s, why))
    if as_json:
        result = "taken_back" if made is None else "acknowledged"
        until = None if made is None else made.until
        print_json({"alert": alert, "label": label, "result": result, "until": until})
    elif made is None:
        good(f"{name} pages again")
    else:
        good(told(made))


def told(each: Acknowledgement) -> str:
    """``ProviderDown (twilio) is known until 05:04:00 to Ann: Twilio knows``."""
    name = f"{each.alert} ({each.label})" if each.label else each.alert
    until = f"{each.until.astimezone():%Y-%m-%d %H:%M:%S}"
    return f"{name} is known until {until} to {each.actor}: {each.reason}"


async def _acknowledge(
    settings: Settings, alert: str, label: str, for_s: int, why: str
) -> Acknowledgement | None:
    url = settings.require_database()
    async with await connect(url, Role.GATEWAY, application="pruuf cli") as connection:
        return await acknowledgements.acknowledge(
            connection, alert, label, for_s=for_s, actor=actor(), reason=why
        )
