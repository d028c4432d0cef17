"""Bends good bytes: a few changes at once, of bytes, of spans, and of values inside of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.targets import Target

_ODD: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    1e308,
    2**63,
    10**30,
    "",
    "\x00",
    "\ud800",
    "\u202e",
    "9" * 400,
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "+999999999999999",
    [],
    {},
    [[[[[[[[]]]]]]]],
    {"": {"": ""}},
)
_WORDS = (
    *(b'"', b"'", b"\\", b"\x00", b"\xff", b"\xed\xa0\x80", b"\n", b"\r\n", b"=", b"&", b"%", b","),
    *(
        b"[" * 2_000,
        b"{" * 2_000,
        b"v1=",
        b"t=",
        b"..",
        b"${x}",
        b"{{7*7}}",
        b"%00",
        b"\xe2\x80\xae",
    ),
)
_SPAN = 40

_Change = Callable[[bytes], bytes]


def _byte(at: int, value: int) -> _Change:
    def change(raw: bytes) -> bytes:
        place = at % (len(raw) or 1)
        return raw[:place] + bytes((value,)) + raw[place + 1 :]

    return change


def _put(at: int, word: bytes) -> _Change:
    return lambda raw: raw[: at % (len(raw) + 1)] + word + raw[at % (len(raw) + 1) :]


def _cut(at: int, length: int) -> _Change:
    def change(raw: bytes) -> bytes:
        place = at % (len(raw) or 1)
        return raw[:place] + raw[place + length :]

    return change


def _double(at: int, length: int) -> _Change:
    def change(raw: bytes) -> bytes:
        place = at % (len(raw) or 1)
        return raw[: place + length] + raw[place:]

    return change


def _places(value: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - JSON
    """Container and key of everything inside."""
    found: list[tuple[Any, Any]] = []
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        found += [(value, key), *_places(value[key])]
    return found


def _value(at: int, odd: object, what: str) -> _Change:
    def change(raw: bytes) -> bytes:
        try:
            document = json.loads(raw)
        except (ValueError, RecursionError):
            return raw
        places = _places(document)
        if not places:
            return raw
        holder, key = places[at % len(places)]
        if what == "drop":
            del holder[key]
        elif what == "twice" and isinstance(holder[key], list):
            holder[key] = holder[key] * 2
        else:
            holder[key] = odd
        return json.dumps(document).encode("utf-8", "surrogatepass")

    return change


_at = st.integers(0, 4_000)
_change = st.one_of(
    st.builds(_byte, _at, st.integers(0, 255)),
    st.builds(_put, _at, st.sampled_from(_WORDS)),
    st.builds(_cut, _at, st.integers(1, _SPAN)),
    st.builds(_double, _at, st.integers(1, _SPAN)),
    st.builds(_value, _at, st.sampled_from(_ODD), st.sampled_from(("put", "drop", "twice"))),
)


def bent(target: Target) -> st.SearchStrategy[bytes]:
    """Bytes near those that a parser takes, and now and then any at all."""

    def apply(raw: bytes, changes: list[_Change]) -> bytes:
        for change in changes:
            raw = change(raw)
        return raw

    near = st.builds(apply, st.sampled_from(target.seeds), st.lists(_change, max_size=5))
    return st.one_of(near, near, near, st.binary(max_size=200))
