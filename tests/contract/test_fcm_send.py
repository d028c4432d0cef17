"""Pushes through firebase-admin: the request as FCM documents it, every kind of answer."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outbox.domain.messages import AddressKind, Push
from outbox.domain.outcomes import Outcome, Result
from outbox.providers import push_message
from outbox.providers.fcm import FcmPush
from outbox.providers.transport import PooledTransport
from outbox.relay.ports import PushProvider
from outbox.settings import FcmSettings, SettingsError
from tests.contract.conftest import Events, write_account
from tests.contract.loopback import Behaviour, answer, drip, hang_up, raw, reset, serve, silence
from tests.contract.push_adapter import ADDRESS, NAME, NOW, PUSH, TAKEN, TOKEN, google, refusal

URGENT = {
    "message": {
        "token": ADDRESS,
        "data": {"notification_id": "n-1", "receipt_token": "r-1", "kind": "checkin.missed"},
        "notification": {
            "title": "Missed check-in",
            "body": "Ann Example missed a check-in – call her.",
        },
        "android": {
            "priority": "high",
            "ttl": "3600s",
            "notification": {
                "channel_id": "alerts",
                "notification_priority": "PRIORITY_MAX",
                "sound": "default",
                "tag": "n-1",
            },
        },
        "apns": {
            "headers": {
                "apns-priority": "10",
                "apns-expiration": "1795003600",
                "apns-collapse-id": "n-1",
            },
            "payload": {"aps": {"sound": "default", "interruption-level": "time-sensitive"}},
        },
    },
}


def built(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a push
    body = push_message.body(msgspec.structs.replace(PUSH, **changes), now=NOW)
    message: dict[str, Any] = msgspec.json.decode(body)["message"]
    return message


async def test_the_request_is_what_fcm_documents(tmp_path: Path, private_key: str) -> None:
    async with google(tmp_path, private_key) as at:
        fits: PushProvider = at.push
        outcome = await fits.send(PUSH)
        (request,) = at.fcm.requests
    assert (request.method, request.target) == ("POST", "/v1/projects/pruuf-test/messages:send")
    assert request.headers["authorization"] == "Bearer t0k3n"
    assert request.headers["content-type"] == "application/json"
    assert msgspec.json.decode(request.body) == URGENT
    assert (outcome.result, outcome.provider, outcome.provider_id, outcome.code) == (
        Result.ACCEPTED,
        "fcm",
        NAME,
        None,
    )


def test_a_push_that_is_not_urgent_wakes_nobody() -> None:
    message = built(urgent=False, ttl_s=60)
    assert message["android"]["priority"] == "normal"
    assert message["android"]["ttl"] == "60s"
    assert message["android"]["notification"]["channel_id"] == "notes"
    assert message["android"]["notification"]["notification_priority"] == "PRIORITY_DEFAULT"
    assert message["apns"]["headers"]["apns-priority"] == "5"
    assert message["apns"]["headers"]["apns-expiration"] == str(int(NOW) + 60)
    assert message["apns"]["payload"] == {"aps": {"sound": "default"}}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [AddressKind.TOKEN, AddressKind.FID])
def test_the_kind_of_address_is_kept(kind: AddressKind) -> None:
    message = built(address_kind=kind)
    assert {name for name in ("fid", "token", "topic", "condition") if name in message} == {kind}
    assert message[kind] == ADDRESS


def test_it_shows_by_itself_and_the_app_can_read_it() -> None:
    # A notification alone is lost to an app in front, data alone to one that was killed.
    message = built()
    assert message["notification"].keys() == {"title", "body"}
    assert all(isinstance(value, str) for value in message["data"].values())
    assert "content-available" not in message["apns"]["payload"]["aps"]


def test_a_repetition_replaces_what_is_shown() -> None:
    message = built(tag="n-7")
    assert message["android"]["notification"]["tag"] == "n-7"
    assert message["apns"]["headers"]["apns-collapse-id"] == "n-7"


def test_no_push_throws_another_one_out_of_fcms_store() -> None:
    # A device has four collapse keys at most; the fifth takes the place of any of the others.
    assert "collapse_key" not in built()["android"]


@pytest.mark.parametrize(
    ("kind", "urgent", "channel", "sound", "level"),
    [
        ("checkin.missed", True, "alerts", "default", "time-sensitive"),
        ("checkin.all_clear", True, "alerts", "default", "time-sensitive"),
        ("checkin.confirmed", False, "notes", "default", None),
        ("contact.unreachable", False, "notes", "default", None),
        ("announcement.published", False, "announcements", None, "passive"),
    ],
)
def test_a_kind_is_as_loud_as_it_matters(
    kind: str,
    urgent: bool,
    channel: str,
    sound: str | None,
    level: str | None,
) -> None:
    message = built(data={"kind": kind}, urgent=urgent)
    android, aps = message["android"]["notification"], message["apns"]["payload"]["aps"]
    assert (android["channel_id"], android.get("sound")) == (channel, sound)
    assert (aps.get("sound"), aps.get("interruption-level")) == (sound, level)


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        (AddressKind.TOPIC, "news"),
        (AddressKind.CONDITION, "'news' in topics && !('lang-es' in topics)"),
    ],
)
def test_a_push_to_many_has_the_same_shape(kind: AddressKind, address: str) -> None:
    message = built(address_kind=kind, address=address, data={"notification_id": "n-1"})
    assert message.pop(str(kind)) == address
    one = built(data={"notification_id": "n-1"})
    assert one.pop("token") == ADDRESS
    assert message == one


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"notification_id": 7}},
        {"ttl_s": -1},
        {"address": ""},
        {"title": None, "address": None},
    ],
)
def test_what_fcm_could_never_take_is_a_value_error(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        built(**changes)


async def sent(
    folder: Path,
    private_key: str,
    behaviour: Behaviour,
    *,
    timeout_s: float = 5.0,
    push: Push = PUSH,
) -> Outcome:
    """The outcome of one push, which must have been one request."""
    async with google(folder, private_key, behaviour, total_timeout_s=timeout_s) as at:
        outcome = await at.push.send(push)
        assert len(at.fcm.requests) == 1
    return outcome


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (hang_up, "closed"),
        (reset, "closed"),
        (silence, "timeout"),
        (drip, "timeout"),
        (raw(b"HTTP/1.1 200 O"), "closed"),
        (answer(200, b""), "malformed_answer"),
        (answer(200, b"<html>"), "malformed_answer"),
        (answer(200, b"\xff"), "malformed_answer"),
        (answer(200, {"name": None}), "malformed_answer"),
        (answer(200, {"error": {}}), "malformed_answer"),
    ],
)
async def test_a_lost_answer_is_unknown(
    tmp_path: Path,
    private_key: str,
    behaviour: Behaviour,
    code: str,
) -> None:
    outcome = await sent(tmp_path, private_key, behaviour, timeout_s=1.0)
    assert (outcome.result, outcome.code) == (Result.OUTCOME_UNKNOWN, code)
    assert outcome.latency_ms < 10_000


async def test_a_connection_that_was_never_made_is_retryable(
    tmp_path: Path,
    private_key: str,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with serve(TOKEN) as tokens, PooledTransport(total_timeout_s=2.0) as transport:
            path = write_account(
                tmp_path / "a.json",
                private_key=private_key,
                token_uri=f"{tokens.url}/token",
            )
            push = FcmPush(FcmSettings(credentials=path, api_base=base), transport)
            outcome = await push.send(PUSH)
            assert (await push.check()).result is Result.RETRYABLE
    assert (outcome.result, outcome.code) == (Result.RETRYABLE, "connect")


async def test_many_at_once_share_one_token(tmp_path: Path, private_key: str) -> None:
    async with google(tmp_path, private_key) as at:
        outcomes = await asyncio.gather(*(at.push.send(PUSH) for _ in range(50)))
        assert (len(at.fcm.requests), len(at.tokens.requests)) == (50, 1)
    assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}


@pytest.mark.parametrize("behaviour", [TAKEN, refusal(404, "UNREGISTERED"), hang_up])
async def test_each_push_is_one_event_without_an_address_a_text_or_a_secret(
    tmp_path: Path,
    private_key: str,
    behaviour: Behaviour,
    events: Events,
) -> None:
    await sent(tmp_path, private_key, behaviour)
    names = [name for name, _ in events.wide]
    assert names == ["push.token", "push.send"]
    fields = events.wide[1][1]
    assert {"provider", "result", "code", "provider_id", "latency_ms"} <= fields.keys()
    assert (fields["notification_id"], fields["urgent"]) == ("n-1", True)
    for hidden in (ADDRESS, "Ann Example", "r-1", "t0k3n", private_key[40:80]):
        assert hidden not in events.text


@pytest.mark.parametrize(
    ("behaviour", "result", "code"),
    [
        (answer(200, {"name": "projects/p/messages/fake"}), Result.ACCEPTED, None),
        (refusal(403), Result.CONFIGURATION_FAULT, "403"),
        (refusal(404), Result.CONFIGURATION_FAULT, "404"),
        (refusal(503, "UNAVAILABLE"), Result.RETRYABLE, "UNAVAILABLE"),
        (refusal(504), Result.RETRYABLE, "504"),
        (hang_up, Result.RETRYABLE, "closed"),
        (answer(200, b"<html>"), Result.RETRYABLE, "malformed_answer"),
    ],
)
async def test_check_reaches_nobody(
    tmp_path: Path,
    private_key: str,
    behaviour: Behaviour,
    result: Result,
    code: str | None,
) -> None:
    async with google(tmp_path, private_key, behaviour) as at:
        outcome = await at.push.check()
        (request,) = at.fcm.requests
    asked = msgspec.json.decode(request.body)
    assert asked["validate_only"] is True
    assert asked["message"].keys() == {"topic", "data"}
    assert (outcome.result, outcome.code) == (result, code)


@pytest.mark.parametrize("key", ["", "not a key"])
def test_a_key_that_cannot_be_read_is_a_settings_error(tmp_path: Path, key: str) -> None:
    path = write_account(tmp_path / "a.json", private_key=key, token_uri="http://127.0.0.1/token")
    with pytest.raises(SettingsError) as caught:
        FcmPush(FcmSettings(credentials=path, api_base=None), PooledTransport())
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(caught.value)
