"""Bodies: one msgspec decode, and an error that names the field, what came and what is accepted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from gateway.problems import UNSUPPORTED_MEDIA_TYPE, FieldError, Problem, invalid

T = TypeVar("T")

JSON = ("application/json",)

_AT = re.compile(r" - at `(?:key` in `)?(?P<path>\$[^`]*)`\Z")
_MISMATCH = re.compile(r"Expected `[^`]*`, got `(?P<got>[^`]*)`")
_FIELD = re.compile(
    r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`\Z", re.DOTALL
)
_INDEX = re.compile(r"\$\[(?P<index>\d+)\]")
_SEGMENT = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>[^\]]*)\]")
_LONGEST_NAME = 64
_END = r"\Z"
"""Ends our patterns; those who read an error may know only ``$``."""


_WORDS = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "array": "an array",
    "object": "an object",
}
_SAID = (
    ("Invalid RFC3339", "a malformed time"),
    ("Expected `datetime` with a timezone", "a time without its zone"),
    ("Invalid enum value", "another value"),
    ("Invalid value", "another value"),
)


def require_media_type(headers: Mapping[str, str], accepted: tuple[str, ...]) -> str:
    """The media type of a body if it is accepted, in UTF-8 and not compressed; else a 415."""
    header = headers.get("content-type") or ""
    name, *parameters = (part.strip().lower() for part in header.split(";"))
    charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")]
    coding = headers.get("content-encoding")
    if coding is not None and coding.strip().lower() not in {"", "identity"}:
        error = FieldError("header.content-encoding", "a content coding", "none, or identity")
        detail = "bodies are read as they are, without a content coding"
        accept = {"Accept-Encoding": "identity"}
        raise Problem(UNSUPPORTED_MEDIA_TYPE, detail, errors=[error], headers=accept)
    if name in accepted and all(charset in {"utf-8", "us-ascii"} for charset in charsets):
        return name
    got = "nothing" if not name else ("another encoding" if name in accepted else "another type")
    wanted = " or ".join(accepted) + ", in UTF-8"
    error = FieldError("header.content-type", got, wanted)
    detail = f"this endpoint takes {wanted}"
    raise Problem(UNSUPPORTED_MEDIA_TYPE, detail, errors=[error])


def decode(decoder: msgspec.json.Decoder[T], raw: bytes, *, batch: bool = False) -> T:
    """Decode a body or raise a 400; in a ``batch`` the position becomes the error's index."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid([field_error(str(error), decoder.type, raw, batch=batch)]) from None
    except msgspec.DecodeError as error:
        # The parser's own words name a byte's position at most, never the byte.
        got = "nothing" if not raw else f"text that is not JSON ({error})"
        raise invalid([FieldError("$", got, "a JSON document in UTF-8")]) from None
    except UnicodeDecodeError:
        raise invalid([FieldError("$", "bytes that are not UTF-8", "UTF-8")]) from None
    except RecursionError:
        raise invalid([FieldError("$", "JSON nested too deeply", "at most a few levels")]) from None


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def field_error(
    message: str,
    expected: Any,  # noqa: ANN401 - a type
    raw: bytes,
    *,
    batch: bool = False,
) -> FieldError:
    """Turn msgspec's message into path, got and accepted; ``raw`` was decoded into ``expected``."""
    place = _AT.search(message)
    path = place["path"] if place else "$"
    said = message[: place.start()] if place else message
    index = None
    types = [_info(expected)]
    if batch and (found := _INDEX.match(path)):
        index, path = int(found["index"]), "$" + path[found.end() :]
        types = list(_inside(types, None))
    types = _meant(types, raw, index)
    for segment in _SEGMENT.finditer(path):
        types = list(_inside(types, segment["name"]))
    field = _FIELD.match(said)
    if field is not None:
        name = field["name"][:_LONGEST_NAME]
        if field["what"] == "missing required":
            accepted = _described(_inside(types, name))
            return FieldError(f"{path}.{name}", "nothing", accepted, index)
        # What looks like no name may be a value in the wrong place: somebody's name or number.
        shown = name if _NAME.fullmatch(name) else "…"
        return FieldError(f"{path}.{shown}", "an unknown field", _fields(types), index)
    return FieldError(path, _got(said), _described(types), index)


def _meant(types: list[inspect.Type], raw: bytes, index: int | None) -> list[inspect.Type]:
    """Of tagged types the one that the sender named, if any: only its fields are of interest."""
    tagged = [each for each in _flat(types) if isinstance(each, inspect.StructType)]
    if not any(each.tag_field for each in tagged):
        return types
    try:
        # Slow, but only on the way to a 400.
        sent: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return types
    one = sent if index is None else sent[index]
    if not isinstance(one, dict):
        return types
    return [each for each in tagged if one.get(str(each.tag_field)) == each.tag] or types


def _got(said: str) -> str:
    mismatch = _MISMATCH.match(said)
    if mismatch is not None:
        return _WORDS.get(mismatch["got"], mismatch["got"])
    for start, words in _SAID:
        if said.startswith(start):
            return words
    if "of length" in said:
        return "a longer one" if "<=" in said else "a shorter one"
    return "another value"


@cache
def _info(expected: Any) -> inspect.Type:  # noqa: ANN401 - a type
    return inspect.type_info(expected)


def _flat(types: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    for each in types:
        if isinstance(each, inspect.Metadata):
            yield from _flat([each.type])
        elif isinstance(each, inspect.UnionType):
            yield from _flat(each.types)
        else:
            yield each


def _inside(types: Iterable[inspect.Type], name: str | None) -> Iterator[inspect.Type]:
    """Types of a field, or of the items when ``name`` is null, of any of these types."""
    for each in _flat(types):
        if isinstance(each, inspect.StructType):
            if name is not None and name == each.tag_field:
                yield inspect.LiteralType((each.tag,))
            yield from (f.type for f in each.fields if f.encode_name == name)
        elif isinstance(each, inspect.CollectionType) and name is None:
            yield each.item_type
        elif isinstance(each, inspect.DictType):
            yield each.value_type


def _fields(types: Iterable[inspect.Type]) -> str:
    names = [
        f.encode_name for t in _flat(types) if isinstance(t, inspect.StructType) for f in t.fields
    ]
    return "only " + ", ".join(dict.fromkeys(names)) if names else "no further field"


def _described(types: Iterable[inspect.Type]) -> str:
    literals: list[str] = []
    words: list[str] = []
    for each in _flat(types):
        if isinstance(each, inspect.LiteralType):
            literals += [f'"{value}"' for value in each.values]
        elif isinstance(each, inspect.EnumType):
            literals += [f'"{member.value}"' for member in each.cls]
        else:
            words.append(_word(each))
    return " or ".join(dict.fromkeys([*literals, *words])) or "something else"


_NAMES: dict[type[inspect.Type], str] = {
    inspect.DateTimeType: "an RFC 3339 time with its zone, like 2026-01-31T09:00:00Z",
    inspect.IntType: "a number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.NoneType: "null",
}


def _word(each: inspect.Type) -> str:
    if isinstance(each, inspect.StrType):
        pattern = f" matching {each.pattern.replace(_END, '$')}" if each.pattern else ""
        return f"a string{_bounds(each.min_length, each.max_length, ' characters')}{pattern}"
    if isinstance(each, inspect.CollectionType):
        return f"an array{_bounds(each.min_length, each.max_length, ' items')}"
    return _NAMES.get(type(each), "an object")


def _bounds(least: int | None, most: int | None, unit: str) -> str:
    if least is None and most is None:
        return ""
    if most is None:
        return f" of at least {least}{unit}"
    return f" of {least or 0} to {most}{unit}"
