"""The API's description as a judge: is this answer one of those that it promises?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import httpx
from jsonschema_rs import Draft202012Validator

Json = Any
NDJSON = "application/x-ndjson"


class Description:
    """Reads one OpenAPI document."""

    def __init__(self, document: dict[str, Json]) -> None:
        self.document = document
        self._validators: dict[str, Draft202012Validator] = {}

    @cached_property
    def _templates(self) -> list[tuple[re.Pattern[str], dict[str, Json]]]:
        # Addresses without a parameter first: they win, as in the router.
        paths = sorted(self.document["paths"].items(), key=lambda item: "{" in item[0])
        return [
            (re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + r"/?\Z"), item)
            for path, item in paths
        ]

    def operation(self, method: str, path: str) -> dict[str, Json] | None:
        """The operation at an address; null if there is none."""
        for template, item in self._templates:
            if template.match(path):
                found: dict[str, Json] | None = item.get(method.lower())
                return found
        return None

    def operations(self) -> Iterator[tuple[str, str, dict[str, Json]]]:
        """Method, path and description of each."""
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                yield method.upper(), path, operation

    def faults(self, schema: Json, value: Json) -> list[str]:
        """What is wrong with a value, by a schema of this document."""
        name = json.dumps(schema, sort_keys=True)
        if name not in self._validators:
            whole = {**schema, "components": self.document["components"]}
            self._validators[name] = Draft202012Validator(whole, validate_formats=True)
        return [error.message for error in self._validators[name].iter_errors(value)]

    def check(self, answer: httpx.Response) -> None:
        """Fail if this answer is not described."""
        operation = self.operation(answer.request.method, answer.request.url.path)
        if operation is None or answer.status_code == httpx.codes.METHOD_NOT_ALLOWED:
            return
        where = f"{answer.request.method} {answer.request.url.path}: {answer.status_code}"
        answers = operation["responses"]
        status = str(answer.status_code)
        assert status in answers or status == "500", f"{where} is not described"
        content = answers.get(status, answers["default"]).get("content")
        if content is None:
            assert answer.content == b"", f"{where} has a body that is not described"
            return
        media_type = answer.headers["content-type"].partition(";")[0]
        assert media_type in content, f"{where} as {media_type} is not described"
        values: list[Json] = []
        if media_type == NDJSON:
            values = [json.loads(line) for line in answer.content.splitlines()]
        elif media_type.endswith("json"):
            values = [answer.json()]
        for value in values:
            assert self.faults(content[media_type]["schema"], value) == [], where
