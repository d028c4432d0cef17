"""The proof that a push works: nothing is shown, no phone is woken for it, and FCM takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from outbox.domain.messages import AddressKind
from outbox.domain.outcomes import Result
from outbox.providers import push_message
from outbox.providers.fcm import FcmPush
from outbox.providers.transport import PooledTransport
from outbox.settings import FcmSettings
from outbox.simulators import magic
from outbox.simulators.environment import environment
from tests.contract.push_adapter import NOW, PUSH
from tests.contract.simulated import simulators

SILENT = msgspec.structs.replace(
    PUSH, title="", body="", urgent=False, data={**PUSH.data, "kind": "device.proof"}
)


def built(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a push
    body = push_message.body(msgspec.structs.replace(SILENT, **changes), now=NOW)
    message: dict[str, Any] = msgspec.json.decode(body)["message"]
    return message


def test_it_is_data_alone_at_low_priority() -> None:
    assert built() == {
        "token": PUSH.address,
        "data": {**PUSH.data, "kind": "device.proof"},
        "android": {"priority": "normal", "ttl": f"{PUSH.ttl_s}s"},
        "apns": {
            "headers": {
                "apns-push-type": "background",
                "apns-priority": "5",
                "apns-expiration": str(int(NOW) + PUSH.ttl_s),
            },
            "payload": {"aps": {"content-available": 1}},
        },
    }


def test_an_installation_id_stays_one() -> None:
    message = built(address_kind=AddressKind.FID)
    assert message["fid"] == PUSH.address
    assert "token" not in message


@pytest.mark.parametrize("words", ["notification", "alert", "sound", "badge", "channel_id"])
def test_nothing_in_it_shows_or_sounds(words: str) -> None:
    body = push_message.body(SILENT, now=NOW).decode().replace("notification_id", "")
    assert words not in body


async def test_fcm_takes_it(tmp_path: Path) -> None:
    async with simulators(tmp_path) as sim, PooledTransport() as transport:
        settings = environment(base_url=sim.url, folder=tmp_path)
        account = Path(settings["GOOGLE_APPLICATION_CREDENTIALS"])
        fcm = FcmPush(FcmSettings(credentials=account, api_base=sim.url), transport)
        address = magic.token("delivered", 0)
        outcome = await fcm.send(msgspec.structs.replace(SILENT, address=address))
        assert outcome.result is Result.ACCEPTED
        [entry] = await sim.ledger(provider="fcm")
    assert entry["to"] == address
    assert entry["reference"] == SILENT.data["notification_id"]
