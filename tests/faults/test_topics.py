"""Announcements and topics through real processes, while the relay that tells FCM is killed."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.faults.conftest import Begin
from tests.faults.stack import Stack, wait_for

_PEOPLE = 40
_LATENCY_MS = 400


def _asked(stack: Stack, method: str, path: str, body: object = None) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{stack.gateway}{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Authorization": f"Bearer {stack.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        said = answer.read()
    answered: dict[str, Any] = json.loads(said) if said else {}
    return answered


def _announce(stack: Stack, name: str, *recipients: str) -> None:
    data = {
        "topic": "news",
        "title": {"en": "Hello", "es": "Hola"},
        "body": {"en": name, "es": name},
        **({"recipients": recipients} if recipients else {}),
    }
    event = {
        "specversion": "1.0",
        "id": name,
        "source": "tests",
        "type": "announcement.published",
        "subject": "news",
        "data": data,
    }
    assert not _asked(stack, "POST", "/v1/events", event)["duplicate"]
    assert _asked(stack, "POST", "/v1/events", event)["duplicate"]


def _members(stack: Stack) -> dict[str, list[str]]:
    with urllib.request.urlopen(f"{stack.simulators}/_sim/topics", timeout=60) as answer:
        members: dict[str, list[str]] = json.load(answer)
    return members


@pytest.mark.long
def test_fcm_agrees_with_what_is_wanted_after_a_kill(stack: Stack, scenario: Begin) -> None:
    row = scenario(number=2, name="a relay killed that sends an announcement and follows topics")
    # Nobody is left alone at night here, whenever this test runs.
    policy = stack.folder / "policy.toml"
    policy.write_text('["announcement.published"]\nquiet_hours = ""\n')
    stack.environ["PRUUF_POLICY"] = str(policy)
    stack.start_edge()
    stack.faults(provider="fcm", latency_ms=_LATENCY_MS)
    relay = stack.start_relay("relay-a")
    people = [f"c_{n}" for n in range(_PEOPLE)]
    for n, person in enumerate(people):
        locale = "es-MX" if n % 2 else "en-US"
        _asked(stack, "PUT", f"/v1/recipients/{person}", {"locale": locale})
        device = {"token": f"token-{n}", "address_kind": "token", "platform": "android"}
        _asked(stack, "PUT", f"/v1/recipients/{person}/devices/d", device)
        _asked(stack, "PUT", f"/v1/recipients/{person}/devices/d/topics/news")
        if n % 4 == 3:
            # Changes their mind while the first wish is under way.
            _asked(stack, "DELETE", f"/v1/recipients/{person}/devices/d/topics/news")
    _announce(stack, "to-all")
    _announce(stack, "to-some", *people)
    wait_for(
        lambda: stack.query("SELECT count(*) FROM due WHERE owner IS NOT NULL")[0][0] > 10,
        within_s=60,
        what="calls under way",
    )
    relay.kill()
    held = stack.query("SELECT count(*) FROM due WHERE owner IS NOT NULL")[0][0]
    stack.start_relay("relay-b")
    recovery = stack.wait_until_final(within_s=240)

    states = dict(stack.query("SELECT state, count(*) FROM notification GROUP BY 1"))
    print(f"\n{held} calls under way at the kill, all final {recovery:.0f} s later: {states}")
    assert set(states) == {"delivered"}
    following = [n for n in range(_PEOPLE) if n % 4 != 3]
    assert _members(stack) == {
        "lang-en": sorted(f"token-{n}" for n in following if n % 2 == 0),
        "lang-es": sorted(f"token-{n}" for n in following if n % 2 == 1),
        "news": sorted(f"token-{n}" for n in following),
    }
    pushes = {to: times for (provider, to), times in stack.ledger().items() if provider == "fcm"}
    assert set(pushes) == {
        "'news' in topics && !('lang-es' in topics)",
        "'news' in topics && 'lang-es' in topics",
        *(f"token-{n}" for n in range(_PEOPLE)),
    }
    # FCM cannot be asked: what was under way is sent again, under the same tag and id.
    row.tries, row.recovered_s = held, recovery
    row.duplicated = sum(pushes.values()) - len(pushes)
    row.explained = min(row.duplicated, held)
    row.why = "FCM cannot be asked: what was under way is pushed again under the same tag and id"
