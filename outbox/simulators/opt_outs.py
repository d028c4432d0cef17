"""Who said STOP to this account, as Twilio remembers it: it then refuses further texts.

Kept beside the ledger, so that it survives a restart; the same for all senders, as if they shared
one messaging service.
"""

from __future__ import annotations

import time
from typing import Literal, get_args

from outbox.simulators.ledger import Ledger, connect

OptOutType = Literal["STOP", "START", "HELP"]
"""What Twilio's Advanced Opt-Out says of an inbound text."""

TYPES: tuple[OptOutType, ...] = get_args(OptOutType)

STOP = frozenset({"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"})
START = frozenset({"START", "YES", "UNSTOP"})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS opt_out (
  number TEXT PRIMARY KEY, is_out INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID
"""
# Of several words of one number in a batch the last one stays.
_KEEP = """
INSERT INTO opt_out (number, is_out, at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
FROM json_each(?) WHERE true
ON CONFLICT (number) DO UPDATE SET is_out = excluded.is_out, at = excluded.at
"""


def meaning(body: str) -> OptOutType | None:
    """What a text means by Twilio's default words; only one that is nothing but the word counts."""
    word = body.strip().upper()
    if word in STOP:
        return "STOP"
    return "START" if word in START else None


class OptOuts:
    """The numbers that opted out."""

    def __init__(self, ledger: Ledger) -> None:
        """Read what the ledger's file holds."""
        self._ledger = ledger
        ledger.define(_SCHEMA)
        connection = connect(ledger.path)
        rows = connection.execute("SELECT number FROM opt_out WHERE is_out = 1").fetchall()
        connection.close()
        self._out = {str(number) for (number,) in rows}

    def __contains__(self, number: str) -> bool:
        """Whether this number opted out."""
        return number in self._out

    async def heard(self, number: str, said: OptOutType | None) -> None:
        """Return when what a number said is committed; HELP changes nothing."""
        if said == "STOP":
            self._out.add(number)
        elif said == "START":
            self._out.discard(number)
        else:
            return
        self._ledger.put(_KEEP, (number, said == "STOP", time.time()))
        await self._ledger.committed()
