"""Texts: every template fills with what intake gives, stays short, and lets no name misuse it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import envelope, schemas
from gateway.faults import faults_of
from gateway.prepare import Preparer
from outbox.domain import announcements, plans, texts
from outbox.domain.billing_facts import BACKEND_KINDS
from outbox.domain.content import Content, decode, short_reference
from outbox.domain.ids import new_id
from outbox.domain.policy import default_policy
from outbox.domain.texts import MissingValueError, push_text, sms_text, template_of
from outbox.sealing import Sealer

_sealer = Sealer([bytes(32)], [bytes(32)])
_LOCALES = ["en", "en-US", "es", "es-MX", "ES-419", "fr", "zh-Hant-TW"]
_ZONES = ["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Etc/GMT+12"]
_REF = "0123ABCD"

# GSM 03.38: the alphabet of a text of 160 characters; the second ones cost two.
_GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWO = set("^{}\\[~]|€")

_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
_nasty = st.sampled_from([
    "http://evil.example/x?y",
    "HTTPS://EVIL.EXAMPLE",
    "www.evil.example",
    "evil.co",
    "evil\u3002co",
    "evil\uff0eco",
    "a@evil.example",
    "tel:+19005550123",
    "\u2028",
    "\u2029",
    "\x85",
    "\u202e",
    "\u2066",
    "{member}",
    "{0.__class__}",
    "%s",
    "\\n",
    " ",
    "Alice",
    "O'Neil-Ñuñez",
    "👩‍👩‍👧",
])  # fmt: skip


def _is_label(text: str) -> bool:
    try:
        msgspec.convert(text, envelope.Label)
    except msgspec.ValidationError:
        return False
    return True


_labels = st.one_of(_names, st.lists(_nasty, min_size=1, max_size=6).map("".join)).filter(_is_label)
_moments = st.builds(
    lambda naive, minutes: naive.replace(tzinfo=timezone(timedelta(minutes=minutes))),
    st.datetimes(),
    st.integers(-1439, 1439),
)
_contents = st.builds(
    Content,
    phone=st.just("+12025550123"),
    recipient_name=st.none() | _labels,
    member_name=_labels,
    member_phone=st.just("+442079460958"),
    inviter_name=_labels,
    contact_name=_labels,
    code=st.from_regex(r"[A-Za-z0-9-]{4,16}", fullmatch=True),
    at=_moments,
    timezone=st.sampled_from(_ZONES),
)
# A canary goes to ourselves, in one language and without a value.
_templates = st.sampled_from(
    [each for each in sorted(texts._TEXTS) if not each.startswith("canary.")]
)
_locales = st.sampled_from(_LOCALES)


def _septets(text: str) -> int | None:
    """Length of a text in the GSM alphabet; null when one character makes it UCS-2."""
    if not set(text) <= _GSM | _GSM_TWO:
        return None
    return sum(2 if character in _GSM_TWO else 1 for character in text)


def _segments(text: str) -> int:
    septets = _septets(text)
    units = len(text.encode("utf-16-le")) // 2 if septets is None else septets
    one, more = (70, 67) if septets is None else (160, 153)
    return 1 if units <= one else -(-units // more)


def _body(contact_name: str, **changed: object) -> dict[str, object]:
    contact = {"id": "c_1", "name": contact_name, "phone": "+12025550123", **changed}
    member = {"id": "m_1", "name": contact_name, "phone": "+15557654321"}
    return {"member": member, "contacts": [contact]}


_DATA: dict[str, Callable[[str, datetime], dict[str, object]]] = {
    "checkin.missed": lambda name, at: {**_body(name), "due_at": at},
    "checkin.confirmed": lambda name, at: {**_body(name), "at": at},
    "member.invited": lambda name, at: {
        "inviter": {"id": "m_1", "name": name},
        "invitee": {"phone": "+12025550123"},
        "code": "PRF-0042",
    },
}


@given(
    st.sampled_from(sorted(_DATA)),
    _labels,
    st.datetimes(datetime(1970, 1, 3), datetime(2099, 12, 29)),  # noqa: DTZ001 - its zone follows
    _locales,
)
def test_every_text_fills_with_what_intake_gives(
    kind: str, name: str, at: datetime, locale: str
) -> None:
    data = _DATA[kind](name, at.replace(tzinfo=UTC))
    raw = {"specversion": "1.0", "id": "e_1", "source": "backend", "type": kind, "subject": "m_1"}
    event = schemas.one.decode(msgspec.json.encode({**raw, "data": data}))
    assert faults_of(event, {}) == []
    made = Preparer(_sealer, default_policy()).prepare(event, {}, trace=None)
    for notification in made.notifications:
        plain = _sealer.unseal(
            notification.content, table="notification", row=str(notification.id), field="content"
        )
        step_ref = short_reference(notification.id, 0)
        assert sms_text(notification.template, locale, decode(plain), step_ref).endswith(step_ref)
        assert all(push_text(notification.template, locale, decode(plain)))


def test_every_kind_that_is_told_to_people_has_its_texts_in_every_language() -> None:
    # An announcement brings its own words, and a command tells nobody anything.
    others = {announcements.KIND, *BACKEND_KINDS}
    kinds = set(schemas.TYPES) - others
    assert kinds == set(_DATA)
    assert kinds <= set(plans.defaults())
    for kind in kinds:
        assert {"en", "es"} <= set(texts._TEXTS[template_of(kind)])


@given(_templates, _locales, _contents)
def test_every_sms_ends_in_its_reference(template: str, locale: str, content: Content) -> None:
    # How a message is found again at the provider: its end is not cut by what stands before.
    assert sms_text(template, locale, content, _REF).endswith(f" Ref {_REF}")


@given(_templates, _locales, _contents)
def test_no_name_breaks_a_line_or_turns_the_direction_of_what_follows(
    template: str, locale: str, content: Content
) -> None:
    for text in (sms_text(template, locale, content, _REF), *push_text(template, locale, content)):
        assert len(text.splitlines()) == 1
        assert text.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f]", text)
        assert not re.search("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", text)


@given(_templates, _locales, _contents)
def test_no_name_becomes_a_link(template: str, locale: str, content: Content) -> None:
    # Without a time, which has its own dots and colons, only names are left that could hold one.
    bare = msgspec.structs.replace(content, at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    for text in (sms_text(template, locale, bare, _REF), *push_text(template, locale, bare)):
        rest = re.sub(r"\d\d:\d\d|\d\d/\d\d", "", text)
        assert not re.search(r"[.:/@\\\u3002\uff0e\uff61]\S", rest), rest


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Alice", "Alice"),
        ("J.R.R. Tolkien", "J. R. R. Tolkien"),
        ("Zoë  O'Neil-Ñuñez", "Zoë O'Neil-Ñuñez"),
        ("نازنین‌زهرا", "نازنین‌زهرا"),
        ("👩‍👩‍👧 Mum", "👩‍👩‍👧 Mum"),
        ("a\u2028b\x85c", "a b c"),
        ("pay at http://evil.example/x", "pay at http: / / evil. example/ x"),
        ("{member} %s {0.__class__}", "{member} %s {0. __class__}"),
        ("\u202eecilA", "ecilA"),
        ("\u2028", "?"),
    ],
)
def test_a_name_stays_readable(name: str, told: str) -> None:
    content = Content(member_name=name, at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    title, _ = push_text("checkin.confirmed/1", "en", content)
    assert title == f"{told} is OK"


@given(_templates, _locales, st.text("ABCDEFGHIJ abcdefghij", min_size=1, max_size=40), _moments)
def test_a_text_with_an_ordinary_name_is_one_message(
    template: str, locale: str, name: str, at: datetime
) -> None:
    content = Content(
        member_name=name,
        member_phone="+491234567890123",
        inviter_name=name,
        contact_name=name,
        code="ABCDEFGH-1234567",
        at=at,
        timezone="America/New_York",
    )
    septets = _septets(sms_text(template, locale, content, _REF))
    # In the GSM alphabet: one foreign character would more than halve the room.
    assert septets is not None
    assert septets <= 160


@given(_templates, _locales, _contents)
def test_no_text_takes_more_than_four_messages(
    template: str, locale: str, content: Content
) -> None:
    assert _segments(sms_text(template, locale, content, _REF)) <= 4


@pytest.mark.parametrize(
    "at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], ids=["min", "max"]
)
@pytest.mark.parametrize("zone", _ZONES)
def test_the_ends_of_the_calendar_are_told_as_well(at: datetime, zone: str) -> None:
    content = Content(member_name="Alice", at=at, timezone=zone)
    assert sms_text("checkin.confirmed/1", "en", content, _REF)


@pytest.mark.parametrize(
    ("locale", "zone", "time"),
    [
        ("en-US", "America/New_York", "Nov 23 04:00"),
        ("en-US", "UTC", "Nov 23 09:00"),
        ("es-MX", "America/New_York", "23/11 a las 04:00"),
        ("fr", "Asia/Kathmandu", "Nov 23 14:45"),
        ("en", "Of/Another_Machine", "Nov 23 09:00"),
    ],
)
def test_a_time_is_the_recipients_own(locale: str, zone: str, time: str) -> None:
    at = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    content = Content(member_name="Alice", at=at, timezone=zone)
    assert f" {time}." in sms_text("checkin.confirmed/1", locale, content, _REF)


@given(_templates, _contents, st.sampled_from(["es", "ES", "es-MX", "es-419"]))
def test_a_language_is_found_whatever_its_region(
    template: str, content: Content, locale: str
) -> None:
    assert sms_text(template, locale, content, _REF) == sms_text(template, "es", content, _REF)
    assert sms_text(template, "es", content, _REF) != sms_text(template, "en", content, _REF)


@given(_templates, _contents, st.sampled_from(["fr", "xx-YY", "", "e", "eng"]))
def test_a_language_that_we_do_not_speak_is_answered_in_english(
    template: str, content: Content, locale: str
) -> None:
    assert sms_text(template, locale, content, _REF) == sms_text(template, "en", content, _REF)


@given(_templates.filter(lambda each: bool(texts._needed(each))), _locales)
def test_a_missing_value_is_an_error_that_names_it(template: str, locale: str) -> None:
    with pytest.raises(
        MissingValueError, match=r"^the text needs (member|inviter|contact|code|time)$"
    ):
        sms_text(template, locale, Content(), _REF)


def test_two_steps_of_one_notification_have_different_texts() -> None:
    notification = new_id(0)
    content = Content(member_name="Alice", at=datetime(2026, 1, 2, tzinfo=UTC))
    first, second = (
        sms_text("checkin.confirmed/1", "en", content, short_reference(notification, step))
        for step in (0, 2)
    )
    assert first != second
