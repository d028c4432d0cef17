"""Each kind of secret is rotated under load, as the runbook orders it: none fails, none is lost."""

from __future__ import annotations

import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count

import pytest

from outbox.simulators.credentials import AUTH_TOKEN, STRIPE_KEY
from outbox.simulators.environment import environment
from outbox.simulators.stripe.webhooks import SECRETS
from outbox.store import keys
from outbox.store.connect import owner_engine
from outbox.store.keys import Scope
from tests.faults.balancer import Balancer
from tests.faults.billing_people import Stripe
from tests.faults.conftest import Begin
from tests.faults.house import House
from tests.faults.load import loading, recover, settle_up
from tests.faults.stack import Stack, wait_for
from tests.faults.table import Scenario
from tests.faults.victims import ask

_OPEN = (
    "SELECT count(*) FROM due d JOIN notification n ON n.shard = d.shard AND n.id = d.notification"
    " WHERE n.created_at < to_timestamp({}) AND n.kind NOT LIKE 'billing.notice.%'"
)
_TOKEN = "another-auth-token"
_STRIPE_KEY = "sk_test_another0000000000"
_WEBHOOK_SECRET = "whsec_another0000000000"


def _key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


class _Rest:
    """What the load does not do: pushes, and accounts whose commands and webhooks go to Stripe."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._stop = threading.Event()
        self.said = 0
        self.accounts = 0

    def run(self) -> None:
        for n in count():
            if self._stop.wait(0.2):
                return
            self._push(f"p{n}")
            account = {"id": f"a{n}", "email": f"a{n}@example.com", "role": "contact"}
            self._say(f"a{n}", "billing.account_opened", {"account": account})
            self.accounts += 1

    def stop(self) -> None:
        self._stop.set()

    def _push(self, who: str) -> None:
        device = {"token": f"device-{who}", "address_kind": "token", "platform": "ios"}
        ask(self._stack, "PUT", f"/v1/recipients/{who}", {})
        ask(self._stack, "PUT", f"/v1/recipients/{who}/devices/phone", device)
        member = {"id": f"m-{who}", "name": "Alice"}
        data = {"member": member, "contacts": [{"id": who}], "at": "2026-11-23T08:30:00Z"}
        self._say(f"m-{who}", "checkin.confirmed", data)

    def _say(self, subject: str, kind: str, data: Mapping[str, object]) -> None:
        event = {"specversion": "1.0", "source": "rest", "subject": subject, "data": data}
        ask(self._stack, "POST", "/v1/events", {**event, "id": subject, "type": kind})
        self.said += 1


@contextmanager
def _beside(rest: _Rest) -> Iterator[None]:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            rest.run()
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        rest.stop()
        thread.join(60)
    assert not failed, failed


class _Rotation:
    """The steps of the runbook, for all secrets at once."""

    def __init__(self, stack: Stack, house: House, row: Scenario) -> None:
        self._stack, self._house, self._row = stack, house, row
        self._stripe = Stripe(stack.simulators)
        self._sealing, self._looking = _key(), _key()
        self._old_key = stack.key

    def known(self) -> None:
        """The new ones are known everywhere, beside the old ones."""
        environ = self._stack.environ
        environ["PRUUF_KEYS"] += f",{self._sealing}"
        both = {"twilio_auth_tokens": [AUTH_TOKEN, _TOKEN]}
        self._stripe.control("credentials", {**both, "stripe_api_keys": [STRIPE_KEY, _STRIPE_KEY]})
        environ["TWILIO_AUTH_TOKEN"] = f"{_TOKEN},{AUTH_TOKEN}"
        environ["STRIPE_API_KEY"] = _STRIPE_KEY
        environ["STRIPE_WEBHOOK_SECRETS"] = ",".join((_WEBHOOK_SECRET, *SECRETS))
        folder = self._stack.folder / "another"
        account = environment(base_url=self._stack.simulators, folder=folder)
        environ["GOOGLE_APPLICATION_CREDENTIALS"] = account["GOOGLE_APPLICATION_CREDENTIALS"]
        with owner_engine(self._stack.database_url).begin() as connection:
            made = keys.create(connection, name="test-2", scopes=list(Scope))
        self._restart_all()
        self._stack.key = made.secret

    def first(self) -> None:
        """The new ones come first, the old ones are taken away at those who gave them out."""
        environ = self._stack.environ
        old, new = environ["PRUUF_KEYS"].split(",")
        environ["PRUUF_KEYS"] = f"{new},{old}"
        environ["PRUUF_LOOKUP_KEYS"] = f"{self._looking},{environ['PRUUF_LOOKUP_KEYS']}"
        with owner_engine(self._stack.database_url).begin() as connection:
            keys.revoke(connection, self._old_key.split("_")[1])
        only = {"twilio_auth_tokens": [_TOKEN], "stripe_api_keys": [_STRIPE_KEY]}
        self._stripe.control("credentials", only)
        self._stripe.control("stripe/settings", {"secrets": [_WEBHOOK_SECRET]})
        self._restart_all()

    def alone(self) -> None:
        """What the old key sealed is sealed anew, and the old ones are gone from the settings."""
        assert self._stack.start("reseal", "reseal").wait(120) == 0, "something is left"
        # What was sent under the old key is heard of before nobody knows its signature any more.
        before = _OPEN.format(time.time())
        wait_for(lambda: self._stack.query(before) == [(0,)], within_s=60, what="receipts")
        environ = self._stack.environ
        environ["PRUUF_KEYS"] = environ["PRUUF_KEYS"].split(",")[0]
        environ["TWILIO_AUTH_TOKEN"] = _TOKEN
        environ["STRIPE_WEBHOOK_SECRETS"] = _WEBHOOK_SECRET
        self._restart_all()

    def _restart_all(self) -> None:
        for name in self._house.running:
            self._house.restart(name, self._row)


@pytest.mark.faults
def test_every_secret_is_rotated_under_load(forked: Stack, scenario: Begin) -> None:
    row = scenario(number=1, name="every secret rotated under load")
    row.why = "recovery: the longest drain"
    with Balancer() as balancer:
        house = House(forked, balancer)
        forked.faults(provider="twilio", latency_ms=100)
        rotation, rest = _Rotation(forked, house, row), _Rest(forked)
        with loading(forked, writers=4) as load, _beside(rest):
            load.pause_s = 0.1
            for step in (rotation.known, rotation.first, rotation.alone):
                step()
                # What was begun with the old ones has ended by then.
                accepted, said = len(load.accepted), rest.said
                wait_for(
                    lambda n=accepted, m=said: len(load.accepted) > n + 20 and rest.said > m + 4,  # type: ignore[misc]
                    within_s=30,
                    what="events under the new ones",
                )
        recover(forked, within_s=60)
        audited = forked.start("audit", "audit")
        assert audited.wait(120) == 0, "the audit found something"
        stats = forked.stats()
        refused = {
            p: {c: n for c, n in codes.items() if n} for p, codes in stats["refused"].items()
        }
        assert not any(refused.values()), refused
        assert stats["callbacks"]["given_up"] == 0
        subscribed = Stripe(forked.simulators, key=_STRIPE_KEY).every("subscriptions")
        assert Counter(each["status"] for each in subscribed) == {"trialing": rest.accounts}
        known = forked.query("SELECT count(*) FROM subscription WHERE status = 'trialing'")
        assert known == [(rest.accounts,)]
        settle_up(forked, load, row)
