"""The description: complete, true in its examples, and strict where the edge is."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, get_args

from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import AsyncTestClient

from gateway.documented import OPT
from gateway.schemas import Event

from .conftest import NDJSON
from .description import Description, Json
from .test_api_problems import assert_problem

_FORM = "application/x-www-form-urlencoded"
_ENVELOPES = {kind.__name__ for kind in get_args(Event)}
"""CloudEvents: their extension attributes are ignored."""


async def description_of(api: AsyncTestClient[Litestar]) -> Description:
    return Description((await api.get("/schema/openapi.json")).json())


def examples_of(content: dict[str, Json]) -> Iterator[tuple[str, Json, Json]]:
    """Media type, schema and value of each example."""
    for media_type, what in content.items():
        for example in what.get("examples", {}).values():
            yield media_type, what["schema"], example["value"]


def bodies_of(description: Description) -> Iterator[tuple[str, str, str, Json, Json]]:
    """Method, path, media type, schema and value of each example of a request."""
    for method, path, operation in description.operations():
        for example in examples_of(operation.get("requestBody", {}).get("content", {})):
            yield method, path, *example


def lines(media_type: str, value: Json) -> list[Json]:
    if media_type == NDJSON and isinstance(value, str):
        return [json.loads(line) for line in value.splitlines()]
    return [value]


def body(media_type: str, value: Json) -> dict[str, Any]:
    if media_type == _FORM:
        return {"data": value}
    content = value if isinstance(value, str) else json.dumps(value)
    return {"content": content, "headers": {"content-type": media_type}}


async def test_every_route_describes_itself(api: AsyncTestClient[Litestar]) -> None:
    description = await description_of(api)
    operations = list(description.operations())
    handlers = [
        handler
        for route in api.app.routes
        if isinstance(route, HTTPRoute) and not route.path.startswith("/schema")
        for handler in route.route_handlers
        if handler.http_methods != {"OPTIONS"}
    ]
    assert all(OPT in handler.opt for handler in handlers)
    assert len(operations) == len(handlers)
    assert len({operation["operationId"] for *_, operation in operations}) == len(operations)
    for method, path, operation in operations:
        assert operation["summary"], path
        assert len(operation["summary"]) < 60
        assert operation["description"].startswith(operation["summary"].split()[0])
        assert operation["tags"], path
        assert operation["responses"]["default"]
        if "requestBody" in operation:
            assert list(bodies_of_operation(operation)), f"{method} {path} shows no example"
        for parameter in operation.get("parameters", ()):
            assert parameter["schema"].get("type") or parameter["schema"].get("enum")


def bodies_of_operation(operation: dict[str, Json]) -> Iterator[Json]:
    for what in operation["requestBody"]["content"].values():
        yield from what["examples"].values()


async def test_every_example_is_as_described(api: AsyncTestClient[Litestar]) -> None:
    description = await description_of(api)
    for _, path, operation in description.operations():
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [answer.get("content", {}) for answer in operation["responses"].values()]
        for content in contents:
            for media_type, schema, value in examples_of(content):
                for each in lines(media_type, value):
                    assert description.faults(schema, each) == [], path


async def test_every_example_is_taken(api: AsyncTestClient[Litestar]) -> None:
    description = await description_of(api)
    taken = 0
    for method, path, media_type, _, value in bodies_of(description):
        # A body is judged before what it is for is looked up.
        address = path.replace("{", "").replace("}", "")
        answer = await api.request(method, address, **body(media_type, value))
        signed = path.startswith(("/webhooks/", "/v1/receipts/"))
        assert answer.status_code in ({403} if signed else {200, 201, 202, 204, 404}), answer.text
        taken += 1
    assert taken > 8


def objects_in(value: Json, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a value the objects are."""
    if isinstance(value, dict):
        yield at
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from objects_in(inner, (*at, key))


async def test_unknown_fields_are_refused_at_every_depth(api: AsyncTestClient[Litestar]) -> None:
    description = await description_of(api)
    refused = 0
    for method, path, media_type, _, value in bodies_of(description):
        if media_type in {_FORM, NDJSON} or path.startswith("/webhooks/"):
            continue
        for place in objects_in(value):
            is_envelope = path == "/v1/events" and "data" not in place
            wrong = copy.deepcopy(value)
            inner = wrong
            for key in place:
                inner = inner[key]
            inner["surprise"] = "x"
            answer = await api.request(
                method, path.replace("{", "").replace("}", ""), **body(media_type, wrong)
            )
            if is_envelope:
                assert answer.status_code == 202, answer.text
            else:
                [error] = assert_problem(answer, 400, "invalid")["errors"]
                # Of a map, such as texts by their language, the map itself is named.
                assert error["path"].endswith((".surprise", f".{place[-1]}" if place else "."))
                refused += 1
    assert refused > 12


def named_in(schema: Json) -> Iterator[str]:
    """Names of the types that a schema refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for inner in schema.values():
            yield from named_in(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from named_in(inner)


async def test_what_is_refused_is_described_as_refused(api: AsyncTestClient[Litestar]) -> None:
    description = await description_of(api)
    components = description.document["components"]["schemas"]
    todo = {
        name
        for _, _, operation in description.operations()
        for name in named_in(operation.get("requestBody", {}))
    }
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        todo |= set(named_in(components[name]))
        if components[name].get("type") == "object":
            open_ended = components[name].get("additionalProperties", True)
            assert open_ended is (name in _ENVELOPES), name
    assert seen > _ENVELOPES
