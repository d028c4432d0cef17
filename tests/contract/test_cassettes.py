"""The adapters against recorded answers; the cassettes' README says what that proves."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from vcr.cassette import Cassette
from vcr.errors import CannotOverwriteExistingCassetteException

from outbox.domain.outcomes import Result
from outbox.settings import Settings, load
from outbox.simulators.credentials import AUTH_TOKEN, STRIPE_KEY
from outbox.simulators.environment import environment
from outbox.simulators.stripe.webhooks import SECRETS
from tests.contract.loopback import hang_up, serve
from tests.contract.recording import TEXT, fcm_of, looks, pushes, texts, twilio_of
from tests.contract.tape import FOLDER, Carrier, carrier, tape

CASSETTES = {
    "twilio_send.yaml": 7,
    "twilio_look.yaml": 3,
    "fcm_send.yaml": 3,
    "stripe_commands.yaml": 27,
    "stripe_reads.yaml": 31,
    "stripe_refusals.yaml": 23,
    "stripe_struck.yaml": 14,
}
"""With how many requests each."""
_HIDDEN = (
    *("authorization", "bearer ", "basic ", "user-agent", "x-twilio", "eyj", "ya29"),
    *(
        "sk_live",
        "rk_live",
        "rk_test",
        "whsec_",
        "_secret_",
        "pk_",
        "idempotency-key",
        "stripe.com",
    ),
    *(secret.lower() for secret in (STRIPE_KEY, AUTH_TOKEN, *SECRETS)),
)
_KEY = re.compile(r"sk_test_\w")
_CARD = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w.])")


@asynccontextmanager
async def played(name: str, folder: Path) -> AsyncIterator[tuple[Settings, Carrier, Cassette]]:
    """Play a whole cassette; the server that the settings name must not see anything of it."""
    async with serve(hang_up) as nobody:
        settings = load(environment(base_url=nobody.url, folder=folder), cwd=folder)
        async with carrier() as http, tape(name) as cassette:
            yield settings, http, cassette
            assert cassette.all_played
            assert cassette.play_count == CASSETTES[name]
        assert nobody.requests == []


@pytest.mark.parametrize("name", CASSETTES)
def test_the_cassette_is_there(name: str) -> None:
    assert (FOLDER / name).stat().st_size > 0


def test_there_is_no_cassette_that_nobody_plays() -> None:
    assert {path.name for path in FOLDER.glob("*.yaml")} == CASSETTES.keys()


@pytest.mark.parametrize("name", CASSETTES)
def test_no_cassette_holds_a_secret(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8").lower()
    for hidden in _HIDDEN:
        assert hidden not in text
    assert _KEY.search(text) is None
    assert _CARD.search(text) is None


async def test_texts(tmp_path: Path) -> None:
    async with played("twilio_send.yaml", tmp_path) as (settings, http, _):
        outcomes = await texts(twilio_of(settings, http))
    assert [(outcome.result, outcome.code) for outcome in outcomes] == [
        (Result.ACCEPTED, None),
        (Result.CHANNEL_FINAL, "21211"),
        (Result.SENDER_FAULT, "21612"),
        (Result.CHANNEL_FINAL, "21408"),
        (Result.RECIPIENT_SUPPRESSED, "21610"),
        (Result.CHANNEL_FINAL, "21614"),
        (Result.SENDER_FAULT, "21611"),
    ]
    assert (outcomes[0].provider_id or "").startswith("SM")


async def test_looks(tmp_path: Path) -> None:
    async with played("twilio_look.yaml", tmp_path) as (settings, http, _):
        found, same, absent = await looks(twilio_of(settings, http))
    assert absent is None
    assert found is not None
    assert same is not None
    assert (found.provider_id, found.created_at) == (same.provider_id, same.created_at)


async def test_pushes(tmp_path: Path) -> None:
    async with played("fcm_send.yaml", tmp_path) as (settings, http, _):
        outcomes = await pushes(fcm_of(settings, http))
    assert [(outcome.result, outcome.code) for outcome in outcomes] == [
        (Result.ACCEPTED, None),
        (Result.CHANNEL_FINAL, "INVALID_ADDRESS"),
    ]


async def test_a_request_that_is_not_on_the_cassette_is_an_error(tmp_path: Path) -> None:
    settings = load(environment(base_url="http://127.0.0.1:9", folder=tmp_path), cwd=tmp_path)
    async with carrier() as http, tape("twilio_send.yaml"):
        changed = msgspec.structs.replace(TEXT, body="Another text.")
        with pytest.raises(CannotOverwriteExistingCassetteException):
            await twilio_of(settings, http).send(changed)
