"""What people text us: the documented words, alone; and words of their own, for a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox.domain.inbound import Inbound, Meaning, decode, encode, meaning


def _text(body: str, **more: str) -> Inbound:
    return Inbound(phone="+12025550123", to="+12025550100", body=body, provider_id="SM1", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "word",
    ["STOP", "unsubscribe", "End", "QUIT", "stopall", "REVOKE", "OptOut", "cancel", " Stop. "],
)
def test_words_that_end_it(word: str) -> None:
    assert meaning(_text(word)) is Meaning.STOP


@pytest.mark.parametrize("word", ["START", "yes", "UnStop", "yes!"])
def test_words_that_begin_it_again(word: str) -> None:
    assert meaning(_text(word)) is Meaning.START


@pytest.mark.parametrize("word", ["HELP", "info"])
def test_words_that_ask_for_help(word: str) -> None:
    assert meaning(_text(word)) is Meaning.HELP


@pytest.mark.parametrize(
    "body",
    [
        "please stop texting me",
        "Stop it",
        "I want to opt out",
        "take me off this list",
        "don't text this number",
        "don\u2019t text this number",
        "do not contact me again",
        "wrong number",
        "no more messages",
        "Ya no me manden mensajes",
        "dejen de escribirme",
    ],
)
def test_revocations_in_ones_own_words_are_for_a_person(body: str) -> None:
    assert meaning(_text(body)) is Meaning.MAYBE_STOP


@pytest.mark.parametrize(
    "body", ["", "Thanks!", "I called her, she is fine", "On my way", "yes please"]
)
def test_everything_else_changes_nothing(body: str) -> None:
    assert meaning(_text(body)) is Meaning.OTHER


def test_what_twilio_made_of_it_wins() -> None:
    assert meaning(_text("BASTA YA", opt_out="STOP")) is Meaning.STOP
    assert meaning(_text("volver", opt_out="START")) is Meaning.START


@given(st.text())
def test_every_text_means_something_and_survives_the_inbox(body: str) -> None:
    text = _text(body.encode("utf-8", "replace").decode())
    assert meaning(text) in Meaning
    assert decode(encode(text)) == text
