"""Fills in the API description: bodies, answers, problems and keys of every operation.

The framework lists addresses and parameters; the rest comes from the types that really decode
and encode, so that what is refused is described as refused.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from gateway.documented import Answer, Documented
from gateway.fields import enrich
from gateway.problems import (
    INVALID,
    MEDIA_TYPE,
    SCOPE,
    TOO_LARGE,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNSUPPORTED_MEDIA_TYPE,
    Kind,
    ProblemDetails,
)

KEY = "apiKey"
"""Name of the security scheme of keys."""

_REF = "#/components/schemas/{name}"
_PAUSE = re.compile(r"[.,;:](?:\s|\Z)")
_RETRY_AFTER = "Seconds to wait before the same request is sent again"

_Json = dict[str, Any]


def described(schema: Mapping[str, Any], known: Mapping[str, Documented]) -> _Json:
    """The framework's description with what `Documented` says of each operation, by its id."""
    full: _Json = copy.deepcopy(dict(schema))
    operations = [
        (operation, known[operation["operationId"]])
        for item in full["paths"].values()
        for operation in item.values()
    ]
    types = [ProblemDetails, *_types(what for _, what in operations)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    enrich(components, types)
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    for operation, what in operations:
        _describe(operation, what, by_type)
    full["components"]["schemas"] = components
    portable: _Json = _portable(full)
    return portable


def _types(documented: Iterable[Documented]) -> Iterator[Any]:
    seen = {repr(ProblemDetails)}
    for what in documented:
        contents = [body.content for body in what.bodies.values()]
        for answer in what.answers.values():
            contents += answer.content if isinstance(answer.content, tuple) else (answer.content,)
        for content in contents:
            if content is not None and repr(content) not in seen:
                seen.add(repr(content))
                yield content


def _describe(operation: _Json, what: Documented, by_type: Mapping[str, Any]) -> None:
    operation["summary"] = _summary(operation.get("description", ""))
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _not_null(parameter["schema"])
    if what.bodies:
        content = {
            media_type: _content(body.content, body.examples, by_type)
            for media_type, body in what.bodies.items()
        }
        operation["requestBody"] = {"required": True, "content": content}
        texts = dict.fromkeys(body.text for body in what.bodies.values() if body.text is not None)
        if texts:
            operation["requestBody"]["description"] = " ".join(texts)
    if what.scope is not None:
        operation["security"] = [{KEY: [str(what.scope)]}]
    elif what.security is not None:
        operation["security"] = [{what.security: []}]
    answers = {str(status): _answer(each, by_type) for status, each in what.answers.items()}
    for kind in _problems(operation, what):
        answers.setdefault(str(int(kind.status)), _problem(kind, by_type))
    answers = dict(sorted(answers.items()))
    answers["default"] = _problem(None, by_type)
    operation["responses"] = answers


def _summary(description: str) -> str:
    """Its first words, up to the first pause: what lists of operations have room for."""
    return _PAUSE.split(description, maxsplit=1)[0].replace("`", "")


def _content(
    of: Any,  # noqa: ANN401 - a type, or a tuple of types
    examples: Mapping[str, Any],
    by_type: Mapping[str, Any],
) -> _Json:
    alternatives = [by_type[repr(each)] for each in (of if isinstance(of, tuple) else (of,))]
    schema = alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
    content: _Json = {"schema": schema}
    if examples:
        content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return content


def _answer(answer: Answer, by_type: Mapping[str, Any]) -> _Json:
    described: _Json = {"description": answer.text}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in answer.headers.items()
        }
    if answer.content is not None:
        content = _content(answer.content, answer.examples, by_type)
        described["content"] = {answer.media_type: content}
    return described


def _problem(kind: Kind | None, by_type: Mapping[str, Any]) -> _Json:
    content = {MEDIA_TYPE: {"schema": by_type[repr(ProblemDetails)]}}
    problem: _Json = {"description": kind.title if kind else "Any other error", "content": content}
    if kind in (UNAVAILABLE, TOO_MANY_REQUESTS):
        header = {"description": _RETRY_AFTER, "schema": {"type": "integer", "minimum": 1}}
        problem["headers"] = {"Retry-After": header}
    return problem


def _problems(operation: _Json, what: Documented) -> Iterator[Kind]:
    yield from what.problems
    if what.scope is not None:
        yield from (UNAUTHORIZED, SCOPE, UNAVAILABLE)
    if what.bodies:
        yield from (INVALID, TOO_LARGE, UNAVAILABLE)
    if any("json" in media_type for media_type in what.bodies):
        yield UNSUPPORTED_MEDIA_TYPE
    if operation.get("parameters"):
        yield INVALID


def _not_null(schema: _Json) -> _Json:
    """A parameter that is left out is not null: there is no null in an address."""
    others = {key: value for key, value in schema.items() if key != "oneOf"}
    kinds = [kind for kind in schema.get("oneOf", ()) if kind.get("type") != "null"]
    return {**kinds[0], **others} if len(kinds) == 1 else schema


def _portable(part: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Patterns end in ``$``, which other readers know; ours is Python's stricter end."""
    if isinstance(part, dict):
        return {
            key: value.replace(r"\Z", "$")
            if key == "pattern" and isinstance(value, str)
            else _portable(value)
            for key, value in part.items()
        }
    if isinstance(part, list):
        return [_portable(each) for each in part]
    return part
