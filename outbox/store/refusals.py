"""Why something was not committed, as its sender is told."""

from __future__ import annotations

import logging

import psycopg
from psycopg import errors

_log = logging.getLogger(__name__)


class NotDurableError(Exception):
    """It could not be made durable now: nothing is known to be stored; it may come again."""

    def __init__(self, detail: str, retry_after_s: int = 2) -> None:
        """``detail`` is safe to show; ``retry_after_s`` goes into Retry-After."""
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s


class RefusedError(Exception):
    """This very item cannot be stored; raised by ``write`` it makes the batch go on without it."""


class DataRefusedError(RefusedError):
    """Postgres refuses the item for what it contains; it is the sender's to mend."""


OF_ONE_ITEM = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded)
"""What Postgres says of a statement, not of itself: the others of the batch may be fine."""


def refusal(error: Exception) -> Exception:
    """What the caller of the one item that cannot be stored is told."""
    if isinstance(error, errors.IntegrityError):
        # Our schema, such as a partition that is missing, and no fault of the item.
        _log.error("the schema refuses what was accepted: %s", type(error).__name__)
        return NotDurableError(f"the database failed ({type(error).__name__})")
    if isinstance(error, psycopg.Error):
        return DataRefusedError(type(error).__name__)
    return error
