"""What the description can say of a type's fields beyond their types: the words in its source.

The text below a field is its documentation for whoever reads the code; here it becomes the
documentation for whoever reads the API.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import inspect as types


def enrich(components: dict[str, Any], described: Iterable[Any]) -> None:
    """Add to msgspec's schemas what it leaves out: fields' words, and that a time is one."""
    for each in _structs(types.multi_type_info(described)):
        properties = components.get(each.cls.__name__, {}).get("properties", {})
        words = _words(each.cls)
        for field in each.fields:
            schema = properties.get(field.encode_name)
            if schema is None:
                continue
            if any(isinstance(kind, types.DateTimeType) for kind in _parts(field.type)):
                _say_that_it_is_a_time(schema)
            if field.name in words:
                properties[field.encode_name] = _with_words(schema, words[field.name])


def _structs(infos: Iterable[types.Type]) -> Iterator[types.StructType]:
    seen: set[type] = set()
    todo = list(infos)
    while todo:
        each = todo.pop()
        if isinstance(each, types.StructType):
            if each.cls in seen:
                continue
            seen.add(each.cls)
            yield each
            todo += [field.type for field in each.fields]
        elif isinstance(each, types.DictType):
            todo.append(each.value_type)
        elif isinstance(each, (types.CollectionType, types.VarTupleType)):
            todo.append(each.item_type)
        else:
            todo += [part for part in _parts(each) if part is not each]


def _parts(info: types.Type) -> Iterator[types.Type]:
    if isinstance(info, types.Metadata):
        yield from _parts(info.type)
    elif isinstance(info, types.UnionType):
        for each in info.types:
            yield from _parts(each)
    else:
        yield info


def _say_that_it_is_a_time(schema: dict[str, Any]) -> None:
    # A time without a zone would be none by RFC 3339, so msgspec names it only where it must be.
    for part in (schema, *schema.get("anyOf", ())):
        if part.get("type") == "string":
            part["format"] = "date-time"


def _with_words(schema: dict[str, Any], words: str) -> dict[str, Any]:
    # Beside a reference nothing else is read by older readers.
    return (
        {"allOf": [schema], "description": words}
        if "$ref" in schema
        else {**schema, "description": words}
    )


@cache
def _words(cls: type[msgspec.Struct]) -> dict[str, str]:
    """The string below each field of a class and of those that it extends."""
    words: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if each is msgspec.Struct or not issubclass(each, msgspec.Struct):
            continue
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for field, below in pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
                and isinstance(below.value.value, str)
            ):
                words[field.target.id] = " ".join(below.value.value.split())
    return words
