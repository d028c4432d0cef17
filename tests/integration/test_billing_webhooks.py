"""Stripe's webhooks at the edge: believed by their signature alone, stored once, answered fast."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from msgspec.structs import replace

from gateway.app import create_app
from outbox.settings import Settings

from .billing_world import signed
from .conftest import STRIPE_SECRETS, rows

NEW, OLD = STRIPE_SECRETS
_EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "api_version": "2026-10-28.endive",
    "created": 1795510000,
    "type": "customer.updated",
    "data": {"object": {"id": "cus_1", "object": "customer", "metadata": {}}},
}
_BODY = json.dumps(_EVENT).encode()
_INBOX = "SELECT provider, said, lane FROM inbox"


async def _post(
    api: AsyncTestClient[Litestar],
    body: bytes,
    signature: str | None,
) -> httpx.Response:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if signature is not None:
        headers["Stripe-Signature"] = signature
    return await api.post("/webhooks/stripe", content=body, headers=headers)


@pytest.mark.parametrize(
    "secrets",
    [[NEW], [OLD], [NEW, OLD], ["whsec_another", NEW], ["whsec_another", "whsec_more", OLD]],
)
async def test_one_fitting_signature_of_several_is_enough(
    anonymous: AsyncTestClient[Litestar], database_url: str, secrets: list[str]
) -> None:
    assert (await _post(anonymous, _BODY, signed(_BODY, secrets=secrets))).status_code == 204
    assert rows(database_url, _INBOX) == [("stripe", "evt_1", 3)]


def _forged() -> list[str | None]:
    now = time.time()
    return [
        None,
        "",
        "t=,v1=",
        "v1=00",
        f"t={int(now)}",
        "t=now,v1=00",
        "t=1,t=2,v1=00",
        signed(_BODY, secrets=["whsec_another"]),
        signed(_BODY, secrets=[""]),
        signed(_BODY + b" "),
        signed(_BODY, at=now - 1000),
        signed(_BODY, at=now + 1000),
        signed(_BODY).replace("v1=", "v0="),
        # The time is signed, too: an old delivery cannot be made a new one.
        signed(_BODY, at=now - 1000).replace(f"t={int(now - 1000)}", f"t={int(now)}"),
        signed(_BODY, secrets=["whsec_another", "whsec_more"]),
    ]


def _stored(database_url: str) -> dict[str, int]:
    """How many rows each table has, but those that only count."""
    names = rows(
        database_url,
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        " AND table_type = 'BASE TABLE' AND table_name !~ '^rollup_|_p[0-9]{8}$'",
    )
    each = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for (name,) in names)
    return dict(rows(database_url, each))


async def test_a_forgery_is_refused_and_nothing_is_stored_but_a_count(
    anonymous: AsyncTestClient[Litestar], database_url: str
) -> None:
    forged = _forged()
    before = _stored(database_url)
    assert "inbox" in before
    for signature in forged:
        answer = await _post(anonymous, _BODY, signature)
        assert answer.status_code == 403, signature
        assert answer.json()["type"] == "/problems/forged"
    assert _stored(database_url) == before
    told = (await anonymous.get("/metrics")).text
    assert f'pruuf_forged_callbacks_total{{provider="stripe"}} {len(forged)}.0' in told


async def test_a_tampered_body_is_refused(
    anonymous: AsyncTestClient[Litestar], database_url: str
) -> None:
    tampered = _BODY.replace(b"cus_1", b"cus_2")
    assert (await _post(anonymous, tampered, signed(_BODY))).status_code == 403
    assert rows(database_url, "SELECT * FROM inbox") == []


async def test_a_secret_that_was_rolled_away_fits_no_more(
    settings: Settings, database_url: str
) -> None:
    assert settings.stripe is not None
    stripe = replace(settings.stripe, webhook_secrets=(NEW,))
    async with AsyncTestClient(app=create_app(replace(settings, stripe=stripe))) as client:
        assert (await _post(client, _BODY, signed(_BODY, secrets=[OLD]))).status_code == 403
        assert rows(database_url, _INBOX) == []
        # While both were valid, Stripe signed with both.
        assert (await _post(client, _BODY, signed(_BODY, secrets=[OLD, NEW]))).status_code == 204
        assert rows(database_url, _INBOX) == [("stripe", "evt_1", 3)]


@pytest.mark.parametrize(
    ("seconds", "status"), [(-310, 403), (-280, 204), (0, 204), (280, 204), (310, 403)]
)
async def test_clocks_may_differ_by_five_minutes_either_way(
    anonymous: AsyncTestClient[Litestar], seconds: int, status: int
) -> None:
    answer = await _post(anonymous, _BODY, signed(_BODY, at=time.time() + seconds))
    assert answer.status_code == status


async def test_without_secrets_nothing_is_genuine(settings: Settings, database_url: str) -> None:
    async with AsyncTestClient(app=create_app(replace(settings, stripe=None))) as client:
        for secrets in ([NEW], [""]):
            answer = await _post(client, _BODY, signed(_BODY, secrets=secrets))
            assert answer.status_code == 403
    assert rows(database_url, _INBOX) == []


async def test_a_forgery_after_a_genuine_delivery_changes_nothing(
    anonymous: AsyncTestClient[Litestar], database_url: str
) -> None:
    assert (await _post(anonymous, _BODY, signed(_BODY))).status_code == 204
    kept = rows(database_url, "SELECT * FROM inbox")
    forged = _BODY.replace(b"cus_1", b"cus_2")
    assert (await _post(anonymous, forged, signed(_BODY))).status_code == 403
    assert (await _post(anonymous, _BODY, signed(_BODY))).status_code == 204
    assert rows(database_url, "SELECT * FROM inbox") == kept


async def test_a_second_delivery_is_fine_and_changes_nothing(
    anonymous: AsyncTestClient[Litestar], database_url: str
) -> None:
    for age in (0, 200):
        answer = await _post(anonymous, _BODY, signed(_BODY, at=time.time() - age))
        assert answer.status_code == 204
    assert len(rows(database_url, "SELECT * FROM inbox")) == 1
    told = (await anonymous.get("/metrics")).text
    assert 'pruuf_inbox_stored_total{provider="stripe"} 1.0' in told


async def test_the_body_is_kept_as_it_came_and_sealed(
    anonymous: AsyncTestClient[Litestar], database_url: str
) -> None:
    await _post(anonymous, _BODY, signed(_BODY))
    [(body,)] = rows(database_url, "SELECT body FROM inbox")
    assert b"cus_1" not in bytes(body)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"{}", b'{"object": "event", "id": 1}', b"\xff"]
)
async def test_a_genuine_body_that_is_no_event_is_a_400(
    anonymous: AsyncTestClient[Litestar], database_url: str, body: bytes
) -> None:
    answer = await _post(anonymous, body, signed(body))
    assert answer.status_code == 400
    assert rows(database_url, "SELECT * FROM inbox") == []


async def test_a_thin_event_and_one_of_another_version_are_taken(
    anonymous: AsyncTestClient[Litestar], database_url: str
) -> None:
    thin = {
        "id": "evt_thin",
        "object": "v2.core.event",
        "type": "v1.customer.updated",
        "created": "2026-11-23T09:00:00.000Z",
        "related_object": {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"},
    }
    newer = {**_EVENT, "id": "evt_newer", "api_version": "2027-10-01.zinnia", "surprise": [1]}
    for one in (thin, newer):
        body = json.dumps(one).encode()
        assert (await _post(anonymous, body, signed(body))).status_code == 204
    assert sorted(said for _, said, _ in rows(database_url, _INBOX)) == ["evt_newer", "evt_thin"]
