"""Announcements at the edge: exact errors, and who is told what."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from gateway import schemas
from gateway.accept import _weight
from gateway.announcements import told_of
from gateway.decoding import decode
from gateway.faults import faults_of, needs_lookup
from gateway.prepare import Preparer
from gateway.problems import Problem
from gateway.schemas import AnnouncementPublished
from gateway.stream_lines import chunks_of
from outbox.domain.announcements import KIND, TOPIC_PLAN
from outbox.domain.policy import default_policy
from outbox.sealing import Sealer


class _Stored(Struct):
    locale: str
    timezone: str = "UTC"
    name: str | None = None
    phone: str | None = None


def _raw(**data: Any) -> bytes:  # noqa: ANN401 - JSON
    full = {
        "topic": "news",
        "title": {"en": "Hello", "es": "Hola"},
        "body": {"en": "All is well.", "es": "Todo va bien."},
        **data,
    }
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": "e_1",
            "source": "backend",
            "type": "announcement.published",
            "subject": "news",
            "data": {name: value for name, value in full.items() if value is not None},
        },
    )


def _event(**data: Any) -> AnnouncementPublished:  # noqa: ANN401
    event = schemas.one.decode(_raw(**data))
    assert isinstance(event, AnnouncementPublished)
    return event


def _faults(**data: Any) -> list[tuple[str, str, str]]:  # noqa: ANN401
    return [(f.path, f.got, f.accepted) for f in faults_of(_event(**data), {})]


def test_what_is_well_has_no_fault() -> None:
    assert _faults() == []
    assert _faults(recipients=["c_1"]) == []
    assert _faults(title={"fr": "Salut"}, body={"fr": "Tout va bien."}) == []
    assert _faults(title={"en-US": "a", "es-419": "b"}, body={"es-419": "d", "en-US": "c"}) == []


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (
            {"topic": "weather"},
            ("$.subject", "another name", "the same as $.data.topic"),
        ),
        (
            {"body": {"en": "All is well."}},
            ("$.data.body.es", "nothing", "a text for each locale of $.data.title"),
        ),
        (
            {"title": {"en": "Hello"}},
            ("$.data.title.es", "nothing", "a text for each locale of $.data.body"),
        ),
        (
            {"title": {"es": "a", "fr": "b"}, "body": {"es": "a", "fr": "b"}},
            ("$.data.title.en", "nothing", "a text for those who speak none of the others"),
        ),
        (
            {"title": {"en": "a", "en-GB": "b"}, "body": {"en": "a", "en-GB": "b"}},
            (
                "$.data.title.en-GB",
                "another text in the language en",
                "one locale of each language",
            ),
        ),
        (
            {"title": {"en": "Hello"}, "body": {"en": "ñ" * 1000}},
            (
                "$.data.body.en",
                "a push of 2142 bytes",
                "at most 2048 bytes for a topic, with the title and what is added here; 94 less",
            ),
        ),
        (
            {"title": {"en": "Hello"}, "body": {"en": "x" * 4000}, "recipients": ["c_1"]},
            (
                "$.data.body.en",
                "a push of 4472 bytes",
                "at most 4096 bytes for a device, with the title and what is added here; 376 less",
            ),
        ),
    ],
)
def test_a_fault_is_told_with_its_place(
    data: dict[str, Any],
    fault: tuple[str, str, str],
) -> None:
    assert _faults(**data) == [fault]


def test_a_language_is_nobodys_topic() -> None:
    event = msgspec.structs.replace(_event(topic="lang-es"), subject="lang-es")
    [fault] = faults_of(event, {})
    assert fault.path == "$.data.topic"
    assert "lang-" in fault.accepted


@pytest.mark.parametrize(
    ("data", "path", "got"),
    [
        ({"topic": "a b"}, "$.data.topic", "another value"),
        ({"topic": "it's"}, "$.data.topic", "another value"),
        ({"topic": ""}, "$.data.topic", "a shorter one"),
        ({"topic": "x" * 101}, "$.data.topic", "a longer one"),
        ({"title": {}}, "$.data.title", "a shorter one"),
        ({"title": dict.fromkeys(("a1", "b"), "x")}, "$.data.title", "another value"),
        (
            {"body": dict.fromkeys(("de", "en", "es", "fr", "it", "pt"), "x")},
            "$.data.body",
            "a longer one",
        ),
        ({"title": {"en": ""}}, "$.data.title[...]", "a shorter one"),
        ({"title": {"en": "x" * 201}}, "$.data.title[...]", "a longer one"),
        ({"title": {"en": "two\nlines"}}, "$.data.title[...]", "another value"),
        ({"body": {"en": "a\0b"}}, "$.data.body[...]", "another value"),
        ({"body": {"en": 7}}, "$.data.body[...]", "a number"),
        ({"recipients": []}, "$.data.recipients", "a shorter one"),
        ({"recipients": ["c"] * 501}, "$.data.recipients", "a longer one"),
        ({"recipients": ["a b"]}, "$.data.recipients[0]", "another value"),
        ({"colour": "red"}, "$.data.colour", "an unknown field"),
        ({"body": None}, "$.data.body", "nothing"),
    ],
)
def test_the_shape_is_checked(data: dict[str, Any], path: str, got: str) -> None:
    with pytest.raises(Problem) as caught:
        decode(schemas.one, _raw(**data))
    [error] = caught.value.errors
    assert (error.path, error.got) == (path, got)


def test_a_body_may_have_lines() -> None:
    assert _faults(body={"en": "one\ntwo", "es": "uno\ndos"}) == []


def test_a_topic_is_told_in_each_language() -> None:
    told = list(told_of(_event(), {}))
    assert [(t.recipient, t.locale, t.plan_of) for t in told] == [
        ("topic:news", "en", TOPIC_PLAN),
        ("topic:news", "es", TOPIC_PLAN),
    ]
    assert [(t.content.title, t.content.body) for t in told] == [
        ("Hello", "All is well."),
        ("Hola", "Todo va bien."),
    ]
    assert [t.content.address for t in told] == [
        "'news' in topics && !('lang-es' in topics)",
        "'news' in topics && 'lang-es' in topics",
    ]


def test_recipients_are_told_by_what_is_stored_of_them() -> None:
    known = {
        "c_1": _Stored("es-AR", "America/Buenos_Aires"),
        "c_2": _Stored("fr", "Europe/Paris"),
        "c_3": _Stored("EN-gb"),
    }
    event = _event(recipients=["c_1", "c_2", "c_3", "c_1", "nobody"])
    assert set(needs_lookup(event)) == {"c_1", "c_2", "c_3", "nobody"}
    told = list(told_of(event, known))
    assert [(t.recipient, t.content.title, t.content.timezone, t.plan_of) for t in told] == [
        ("c_1", "Hola", "America/Buenos_Aires", KIND),
        ("c_2", "Hello", "Europe/Paris", KIND),
        ("c_3", "Hello", "UTC", KIND),
        ("nobody", "Hello", "UTC", KIND),
    ]
    assert all(t.content.address is None for t in told)


def test_nobody_is_looked_up_for_a_topic() -> None:
    assert list(needs_lookup(_event())) == []


def test_a_request_weighs_what_it_becomes() -> None:
    preparer = Preparer(Sealer([bytes(32)], [bytes(32)]), default_policy())

    def weight(*events: AnnouncementPublished) -> int:
        return _weight([preparer.prepare(event, {}, trace=None) for event in events])

    many = _event(recipients=[f"c_{n}" for n in range(500)])
    assert weight(many) == 500
    assert weight(_event()) == 2
    assert weight(many, _event(), many) == 1002
    # One that weighs more than may ever wait would never be taken.
    assert weight(*[many] * 50) == 10_000


def test_announcements_end_a_chunk_of_a_stream_by_what_they_become() -> None:
    def line(n: int, *recipients: str) -> bytes:
        return _raw(recipients=list(recipients) or None).replace(b"e_1", b"e_%d" % n)

    many = tuple(f"c_{n}" for n in range(500))
    lines = [line(1, *many), line(2), line(3, *many), line(4, *many), line(5), line(6, *many)]
    chunks = chunks_of(iter((n, raw) for n, raw in enumerate(lines, 1)))
    assert [[each.number for each in chunk] for chunk in chunks] == [[1, 2, 3], [4, 5, 6]]
