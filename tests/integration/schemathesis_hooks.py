"""What Schemathesis cannot know of this API: NDJSON, and what makes an event fit."""

from __future__ import annotations

import json
from typing import Any

import schemathesis
from schemathesis import (
    Case,
    CheckContext,
    DeserializationContext,
    HookContext,
    Response,
    SerializationContext,
)

_NDJSON = "application/x-ndjson"
_TIME = "2026-11-23T09:00:00Z"
_FITTING = {
    "phone": "+12025550123",
    "timezone": "Europe/London",
    "at": _TIME,
    "due_at": _TIME,
    "time": _TIME,
}


@schemathesis.serializer(_NDJSON)
def lines_of(_: SerializationContext, value: object) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.deserializer(_NDJSON)
def first_line(_: DeserializationContext, response: Response) -> object:
    return json.loads(response.content.splitlines()[0])


def _fit(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_fit(each) for each in value]
    if not isinstance(value, dict):
        return value
    fitting: dict[str, Any] = {
        k: _FITTING[k] if v and k in _FITTING else _fit(v) for k, v in value.items()
    }
    if "member" in fitting.get("data", {}):
        fitting["subject"] = fitting["data"]["member"]["id"]
    return fitting


@schemathesis.hook
def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
    """What the description allows is made to fit: else hardly any event would be accepted."""
    if case.meta is not None and not case.meta.generation.mode.is_negative:
        case.body = _fit(case.body)
    return case


@schemathesis.check
def every_line_is_answered(_: CheckContext, response: Response, case: Case[Any]) -> None:
    """A stream is always a 202; what became of a line is said in its answer."""
    if response.status_code != 202 or not case.path.endswith("/stream"):
        return
    answers = [json.loads(line) for line in response.content.splitlines()]
    assert len(answers) == (len(case.body.splitlines()) if isinstance(case.body, str) else 1)
    for answer in answers:
        assert ("event_id" in answer) != ("status" in answer)
        assert answer.get("status", 400) in {400, 422}
        if case.meta is not None and case.meta.generation.mode.is_negative:
            assert "status" in answer, "accepted against the description"
