"""What the audit makes of a change by hand, table by table (``audited.toml``); and its page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

import msgspec

from outbox.domain.audit import CHECKS

WHOLE = "whole_tables"
ROW = "row"
OUTSIDE = "outside: "

Decisions = Mapping[str, Mapping[str, str]]

_HEAD = """\
# What the audit proves

`pruuf audit` reads the whole ledger, one snapshot a shard, and names every row that is not as it
should be. A relay does the same each minute for what has changed, and exports the outcome as
metrics. This page is made from the data that the tests hold the audit to:

    python -m outbox.domain.audited > runbooks/reference/audit.md

## How

- **accepted = final + pending + parked**, by kind and day. *Accepted* is counted as notifications
  come into a root, so it does not follow from the rows that are there now.
- **Rules** hold in every snapshot: a notification is not final if and only if it has exactly one
  due row; its state is what its attempts and receipts say; nothing belongs to what is not there.
- **Roots**: what a shard stored within a minute is a Merkle tree of its own. Its leaves name the
  rows and hold keyed hashes of what survives an erasure; each root is linked to the one before, and
  a head names the newest. They are made some minutes behind the intake, when nothing can come into
  a minute any more. Without a key of `PRUUF_LOOKUP_KEYS` nobody can make a leaf, a link or a head.
  What they cannot show by themselves: that the whole was put back to an older copy of itself. The
  relay logs the heads once an hour (`audit.heads`), so that a log kept elsewhere is the witness.
- **Keys** may be rotated: a root says which one it is made with. Older keys stay at the end of
  `PRUUF_LOOKUP_KEYS` for as long as the roots are to be checked.
- **What is sealed** is opened, by a whole audit alone, and compared with the keyed hash beside it.
  What is empty counts as erased.

## What a change by hand comes to

*root*, *rule*, *sealed*: any change fails the audit, which names the row. *bound*: what cannot be
shows; between the bounds a change looks like life. *refused*: Postgres does not let it. *outside*:
it does not show, for the reason that is given. *row* is the removal of a whole row.
"""


@cache
def decisions() -> Decisions:
    """By table and column; the removal of a whole row is `ROW`."""
    text = resources.files(__package__).joinpath("audited.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, dict[str, str]])


def page() -> str:
    """The reference page."""
    return "\n".join([_HEAD, *_tables(), *_checks()]) + "\n"


def _tables() -> Iterator[str]:
    for table, columns in decisions().items():
        if table == WHOLE:
            yield "### Tables that are outside\n\n| table | why |\n| --- | --- |"
            for name, why in columns.items():
                yield f"| `{name}` | {why.removeprefix(OUTSIDE)} |"
            yield ""
            continue
        yield f"### {table}\n\n| column | |\n| --- | --- |"
        shown: dict[str, list[str]] = {}
        for column, how in columns.items():
            shown.setdefault(how, []).append("*row*" if column == ROW else f"`{column}`")
        for how, names in shown.items():
            yield f"| {', '.join(names)} | {how} |"
        yield ""


def _checks() -> Iterator[str]:
    yield "## What it finds\n\n| check | what is wrong | what to do |\n| --- | --- | --- |"
    for name, check in CHECKS.items():
        yield f"| `{name}` | {check.table or 'a row'} {check.why} | {check.step} |"


if __name__ == "__main__":
    sys.stdout.write(page())
