"""Stripe's events: what is read of them, and a table of what is made of each type."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from msgspec import Struct

from outbox.domain.billing_objects import customer_of, name_of


class Effect(StrEnum):
    """What is made of an event, beyond being kept."""

    KEEP = "keep"
    OBJECT = "object"
    """Its object is applied; so it is with all that follow, where it has one."""
    RECORD = "record"
    CUSTOMER_GONE = "customer_gone"
    INVOICE_FAULT = "invoice_fault"
    PAYMENT_FAILED = "payment_failed"
    CONFIRM = "confirm"
    PAYMENT = "payment"
    REFUND_FAILED = "refund_failed"
    DISPUTE = "dispute"
    DISPUTE_CLOSED = "dispute_closed"
    WARNING = "warning"
    SESSION = "session"
    RENEWED = "renewed"
    CARD_SAVED = "card_saved"
    LOOK = "look"
    """A thin event: it names its object only."""


class Row(Struct, frozen=True, kw_only=True):
    """One row of the table."""

    type: str
    need: str
    effect: Effect
    note: str


class Event(Struct, frozen=True, kw_only=True):
    """One event."""

    id: str
    type: str
    at: datetime
    api_version: str | None
    """Null for thin ones."""
    object: dict[str, Any]
    """As it was at that moment; of a thin one only its id."""
    before: Mapping[str, Any]
    """Old values of what changed."""
    thin: bool = False

    @property
    def about(self) -> str:
        """Stripe's name of the object; empty when it has none."""
        return name_of(self.object) or ""

    @property
    def customer(self) -> str | None:
        """Whose it is, or was."""
        return customer_of(self.object) or name_of(self.before.get("customer"))


class MalformedEventError(ValueError):
    """Genuine, but no event that could be read."""


@cache
def table() -> Mapping[str, Row]:
    """The table, by type."""
    text = resources.files(__package__).joinpath("billing_events.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["type"]: msgspec.convert(row, Row) for row in rows}


def row_of(type_: str) -> Row | None:
    """The row of a type, or of its family (``subscription_schedule.*``); null: not listed."""
    known = table()
    return known.get(type_) or known.get(type_.partition(".")[0] + ".*")


def decode(raw: bytes) -> Event:
    """Read an event as it was signed; raises `MalformedEventError`."""
    try:
        value = msgspec.json.decode(raw)
        return _thin(value) if value.get("object") == "v2.core.event" else _event(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        pass
    # Outside of the handler: an error's text would quote what it met.
    msg = "no event in a shape that is known"
    raise MalformedEventError(msg)


def _event(value: dict[str, Any]) -> Event:
    data = value["data"]
    about = data["object"]
    if not isinstance(about, dict) or value.get("object") != "event":
        raise TypeError
    return Event(
        id=_name(value["id"]),
        type=_name(value["type"]),
        at=datetime.fromtimestamp(int(value["created"]), UTC),
        api_version=value.get("api_version"),
        object=about,
        before=data.get("previous_attributes") or {},
    )


def _thin(value: dict[str, Any]) -> Event:
    related = value.get("related_object") or {}
    return Event(
        id=_name(value["id"]),
        type=_name(value["type"]),
        at=msgspec.convert(value["created"], datetime),
        api_version=None,
        object={"id": related.get("id"), "object": related.get("type")},
        before={},
        thin=True,
    )


_LONGEST = 255


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or "\0" in value:
        raise TypeError
    return value
