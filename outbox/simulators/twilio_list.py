"""Twilio's list of messages: its filters and its pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from msgspec import Struct

from outbox.simulators.asgi import Reply, json_reply
from outbox.simulators.ledger_reads import LedgerReads, MessageFilter
from outbox.simulators.twilio_messages import PREFIX, resource, state
from outbox.simulators.twilio_refusals import failure, moment

_MAX_PAGE = 1000
_DEFAULT_PAGE = 50


class _Filters(Struct, frozen=True, kw_only=True):
    """A list call's filters; times are Unix seconds, inclusive, null where not asked for."""

    page_size: int
    page: int
    sent_from: float | None
    sent_to: float | None


def list_reply(reads: LedgerReads, query: Mapping[str, str], now: float, lag_s: float) -> Reply:
    """A page of messages, newest first; those of the last ``lag_s`` are not there yet."""
    try:
        asked = _filters(query)
    except ValueError as error:
        return failure(400, 20001, str(error))
    size = max(1, asked.page_size)
    found = reads.messages(
        MessageFilter(
            now=now,
            limit=size + 1,
            to=query.get("To") or None,
            sender=query.get("From") or None,
            sent_from=asked.sent_from,
            sent_to=asked.sent_to,
            accepted_to=now - lag_s if lag_s else None,
            before=query.get("PageToken", "").removeprefix("PA") or None,
        ),
    )
    shown = found[:size]
    kept = {name: value for name, value in query.items() if name not in {"Page", "PageToken"}}
    kept["PageSize"] = str(size)
    following = None
    if len(found) > size:
        token = "PA" + shown[-1].entry.id
        following = _uri({**kept, "Page": str(asked.page + 1), "PageToken": token})
    start = asked.page * size
    return json_reply(
        200,
        {
            "end": start + max(0, len(shown) - 1),
            "first_page_uri": _uri({**kept, "Page": "0"}),
            "messages": [resource(one.entry, *state(one, now)) for one in shown],
            "next_page_uri": following,
            "page": asked.page,
            "page_size": size,
            "previous_page_uri": None,
            "start": start,
            "uri": _uri(query),
        },
    )


def _uri(query: Mapping[str, str]) -> str:
    return f"{PREFIX}/Messages.json?{urlencode(query)}"


def _filters(query: Mapping[str, str]) -> _Filters:
    """A list call's filters; `ValueError` says which one is malformed."""
    day = _range(query, "DateSent")
    after, before = _range(query, "DateSent>"), _range(query, "DateSent<")
    return _Filters(
        page_size=min(_count(query, "PageSize", _DEFAULT_PAGE), _MAX_PAGE),
        page=_count(query, "Page", 0),
        sent_from=day if after is None else after,
        sent_to=before if day is None else day + timedelta(days=1).total_seconds(),
    )


def _range(query: Mapping[str, str], name: str) -> float | None:
    value = query.get(name)
    if not value:
        return None
    at = moment(value)
    if at is None:
        msg = f"Invalid {name}"
        raise ValueError(msg)
    if name != "DateSent":
        return at
    # Whatever the time of day, the whole day is meant.
    midnight = datetime.fromtimestamp(at, tz=UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.timestamp()


def _count(query: Mapping[str, str], name: str, default: int) -> int:
    value = query.get(name)
    if not value:
        return default
    if not value.isascii() or not value.isdigit():
        msg = f"Invalid {name}"
        raise ValueError(msg)
    return int(value)
