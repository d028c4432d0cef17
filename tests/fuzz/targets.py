"""Each parser of outside bytes: seeds, what it may refuse with, and what has to be found in it.

A parser answers or refuses in its own words; any other error is a find. What it answers has to
stand what is done with it next, so that is done, too. ``deep`` is true of bytes and an answer that
chance alone never comes to: before a search counts, it has to find a bug that is put there.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway import billing_examples, examples, schemas
from gateway.decoding import decode
from gateway.envelope import Envelope
from gateway.faults import faults_of
from gateway.ndjson import Lines
from gateway.prepare import Preparer
from gateway.problems import Problem
from gateway.stripe_signature import is_genuine
from gateway.twilio_signature import _fields
from observability import trace_context
from outbox.domain import billing_reading, billing_webhooks, cards, masking, policy
from outbox.domain.references import Purpose, Reference, ReferenceSigner
from outbox.sealing import Sealer
from outbox.store.keys import parse as parse_key
from outbox.store.listing import decode_cursor, encode_cursor

_KEY = b"k" * 32
_PREPARER = Preparer(Sealer([_KEY], [_KEY]), policy.default_policy())
_SIGNER = ReferenceSigner([_KEY])
_ID = UUID("0193576a-8a41-7f30-a6c4-0e9d2b7f810b")


class Target(Struct, frozen=True):
    """One parser."""

    name: str
    take: Callable[[bytes], object]
    """What it makes of bytes; null where it refuses without an error."""
    seeds: tuple[bytes, ...]
    deep: Callable[[bytes, object], bool]
    refuses: tuple[type[Exception], ...] = ()


def _event(raw: bytes) -> schemas.Event | None:
    event: schemas.Event = decode(schemas.one, raw)
    if faults_of(event, {}):
        return None
    _PREPARER.prepare(event, {}, trace=None)
    return event


def _stripe_event(raw: bytes) -> billing_webhooks.Event:
    event = billing_webhooks.decode(raw)
    billing_webhooks.row_of(event.type)
    with suppress(billing_reading.MalformedObjectError):
        billing_reading.read(event.object)
    return event


def _lines(raw: bytes) -> list[tuple[int, bytes | None]]:
    """Cut in two, the lines are the same."""
    whole, cut = Lines(longest=_LONGEST), Lines(longest=_LONGEST)
    half = len(raw) // 2
    found = [*whole.feed(raw), *whole.end()]
    assert found == [*cut.feed(raw[:half]), *cut.feed(raw[half:]), *cut.end()]
    return found


def _signature(raw: bytes) -> bool:
    header, _, body = raw.partition(b"\n")
    return is_genuine(header.decode("latin-1"), body, secrets=["whsec"], now=1_790_000_000)


def _cursor(raw: bytes) -> UUID | None:
    found = decode_cursor(raw.decode("latin-1"))
    assert found is None or decode_cursor(encode_cursor(found)) == found
    return found


def _reference(raw: bytes) -> Reference | None:
    token = raw.decode("latin-1")
    found = _SIGNER.verify(token, Purpose.PUSH_RECEIPT)
    assert found is None or _SIGNER.sign(found) == token
    return found


def _trace(raw: bytes) -> object:
    parent, _, state = raw.decode("latin-1").partition("\n")
    found = trace_context.parse(parent, state or None)
    assert found is None or trace_context.parse(found.traceparent, found.state) == found
    return found


def _card(raw: bytes) -> bytes:
    """What is hidden once is hidden."""
    hidden = cards.masked(raw)
    assert cards.masked(hidden) == hidden
    return hidden


def _json(*values: object) -> tuple[bytes, ...]:
    return tuple(json.dumps(each).encode() for each in values)


_STRIPE = {
    "id": "evt_1",
    "object": "event",
    "type": "customer.subscription.updated",
    "created": 1_790_000_000,
    "api_version": "2026-10-28",
    "data": {
        "object": {
            "id": "sub_1",
            "object": "subscription",
            "customer": "cus_1",
            "status": "active",
            "metadata": {"pruuf_account": "a"},
            "items": {"data": [{"id": "si_1", "current_period_end": 1_790_000_000}]},
        },
        "previous_attributes": {"status": "trialing"},
    },
}
_POLICY = b"""
["checkin.missed"]
expires_after_s = 3600
steps = [
  { channel = "sms", receipt_within_s = 30, retry_within_s = 20 },
  { channel = "push", receipt_within_s = 30, retry_within_s = 20, ttl_s = 600 },
]
"""

_STATUS = urllib.parse.urlencode(examples.TWILIO_STATUS).encode()
_LONGEST = 64
_TOKEN = _SIGNER.sign(
    Reference(purpose=Purpose.PUSH_RECEIPT, notification=_ID, step=1, fence=2, lane=0)
)
_PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\na=1,b=2"

TARGETS = (
    Target(
        "events",
        _event,
        _json(*examples.EVENTS.values(), *billing_examples.EVENTS.values()),
        lambda _, made: isinstance(made, Envelope) and made.time is None,
        (Problem,),
    ),
    Target(
        "stripe",
        _stripe_event,
        _json(_STRIPE, {**_STRIPE, "data": {"object": {"object": "invoice", "id": "in_1"}}}),
        lambda _, made: isinstance(made, billing_webhooks.Event) and made.at.year == 1970,
        (billing_webhooks.MalformedEventError,),
    ),
    Target(
        "stripe-signature",
        _signature,
        (b"t=1790000000,v1=" + b"0" * 64 + b"\n{}",),
        lambda raw, _: raw.partition(b"\n")[0].count(b"v1=") > 1,
    ),
    Target(
        "twilio-form",
        _fields,
        (_STATUS, b"a=%C3%A9&b=1&b=2"),
        lambda _, made: isinstance(made, dict) and any(len(each) > 2 for each in made.values()),
    ),
    Target(
        "ndjson",
        _lines,
        (b'{"a": 1}\n\n{"b": 2}\r\n' + b"x" * (_LONGEST - 2),),
        lambda _, made: isinstance(made, list) and any(line is None for _, line in made),
    ),
    Target(
        "cursor",
        _cursor,
        (encode_cursor(_ID).encode(), str(_ID).encode()),
        lambda _, made: made not in {None, _ID},
    ),
    Target(
        "reference",
        _reference,
        (_TOKEN.encode(),),
        lambda raw, made: made is None and len(raw) == len(_TOKEN),
    ),
    Target(
        "key",
        lambda raw: parse_key(raw.decode("latin-1")),
        (b"pruuf_abcdefghij_" + b"0f" * 32,),
        lambda raw, made: made is not None and not raw.startswith(b"pruuf_abcdefghij_"),
    ),
    Target(
        "trace",
        _trace,
        (_PARENT,),
        lambda _, made: (
            isinstance(made, trace_context.SpanContext) and made.state not in {None, "a=1,b=2"}
        ),
    ),
    Target(
        "policy",
        lambda raw: policy.parse(raw.decode("utf-8", "replace")),
        (_POLICY,),
        lambda raw, made: made is not None and raw.count(b"channel") != _POLICY.count(b"channel"),
        (policy.PolicyError,),
    ),
    Target(
        "card",
        _card,
        _json({"name": "4242 4242 4242 4242", "note": ["4000-0000-0000-0002", 4242424242424242]}),
        lambda raw, made: made not in {None, raw} and raw.count(b"4242 4242") == 0,
        (msgspec.DecodeError, UnicodeDecodeError, RecursionError),
    ),
    Target(
        "mask",
        masking.masked,
        _json(_STRIPE),
        lambda _, made: isinstance(made, dict) and "metadata" not in json.dumps(made),
    ),
)
