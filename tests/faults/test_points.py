"""The table of crash points holds: every await on the way has one, and the product knows none."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.billing_points import BILLING
from tests.faults.point import Point
from tests.faults.points import POINTS

_ROOT = Path(__file__).parents[2]

# What is awaited on the way, and the points before and after it. Where none is named, why not.
_WAYS: dict[str, dict[str, str]] = {
    "gateway.events:_accept": {
        "known_to": "intake: body read, intake: recipients looked up",
        "commit": "intake: prepared, not queued, intake: before the 202",
    },
    "gateway.accept:known_to": {"find_recipients": "intake: recipients looked up"},
    "gateway.accept:commit": {
        "resources.intake.submit": "intake: prepared, not queued, intake: relays not woken",
    },
    "outbox.store.group_commit:GroupCommit.submit": {
        "asyncio.shield": "intake: batch taken, nothing written, intake: COMMIT done, nobody told",
    },
    "outbox.store.group_commit:GroupCommit._transaction": {
        "self._write": "intake: batch taken, nothing written, intake: written, before COMMIT",
    },
    "gateway.callbacks:keep": {
        "resources.inbox.submit": "callback: verified, not queued, callback: before the 2xx",
    },
    "outbox.relay.lanes:LaneWorker._round": {
        "self._session.get": "–: nothing is claimed yet",
        "peek": "claim: rows seen, nothing claimed",
        "claim": "claim: rows seen, nothing claimed, claim: COMMIT done, nothing read for it",
        "self._assigned": "claim: COMMIT done, nothing read for it, claim: read, no call begun",
        "self._one_alone": "–: calls as ever",
    },
    "outbox.relay.lanes:LaneWorker._carry_out": {
        "self._caller.run": "claim: read, no call begun, settle: queued",
    },
    "outbox.relay.texting:Texter._call": {
        "self._sms.send": "text: before the call, text: answered, not settled",
    },
    "outbox.relay.pushing:Pusher.send": {
        "self._push.send": "push: before the first device, push: between two devices",
    },
    "outbox.relay.paging:page": {
        "pager.send": "page: before the call, page: answered, not settled",
    },
    "outbox.relay.resolver:Resolver._ask": {
        "self._sms.find": "resolve: before asking, resolve: answered, not settled",
    },
    "outbox.relay.resolver:Resolver.look": {
        "self._sms.fetch": "late receipt: before asking, late receipt: answered, not settled",
    },
    "outbox.store.settle:settle": {
        "learn": "–: in the same transaction",
        "run_shard": "settle: written, before COMMIT",
    },
    "outbox.store.settle:learn": {
        "each.hold": "–: in the same transaction",
        "each.write": "command: learned, before COMMIT, look: written, before COMMIT,"
        " command: settled, before the next change, look: settled",
    },
    "outbox.store.alerts:settle_alert": {
        "connection.execute": "settle: queued",
        "cursor.fetchone": "settle: queued",
        "run_shard": "settle of an alert: locked and written, before COMMIT",
        "states_of": "settle of an alert: locked and written, before COMMIT",
        "insert_page": "settle of an alert: paged, before COMMIT",
    },
    "outbox.relay.applier:Applier._shard": {
        "take": "apply: nothing taken, apply: taken",
        "senders_of": "apply: taken",
        "hear": "–: a trace alone",
        "apply": "apply: appended",
        "self._texts.apply": "–: in the same transaction",
        "done": "apply: applied, before COMMIT",
    },
    "gateway.stripe_webhooks:stripe_event.fn": {
        "resources.inbox.submit": "webhook: verified, not queued,"
        " webhook: relays woken, before the 2xx",
    },
    "outbox.relay.billing_applier:BillingApplier._apply": {
        "take": "event: nothing taken, event: taken",
        "self._effects.begin": "event: taken",
        "self._effects.apply": "event: its account locked, look: ordered, before COMMIT",
        "marks.remember": "event: written, not remembered",
        "billing_unowned.keep": "–: in the same transaction",
        "done": "event: marked as done, before COMMIT, event: COMMIT done, nobody woken",
    },
    "outbox.relay.billing:Commands.carry_out": {
        "self._read": "command: claimed, nothing read, command: read, Stripe not asked",
        "Looking(self._stripe, self._owner, known).run": "look: before asking,"
        " look: answered, not settled",
        "Carrying(self._stripe, self._sealer, claim, content, command).run": "command: looked,"
        " change not begun, command: answered, not settled",
    },
    "outbox.store.settle:run_shard": {
        "inbox.store": "–: in the same transaction",
        "connection.execute": "–: in the same transaction",
        "suppressions.learn": "–: in the same transaction",
    },
    "outbox.relay.billing_catch_up:BillingCatchUp.turn": {
        "self._session.persist": "list: leased, nothing asked, list: stored, the cursor stands,"
        " list: the cursor moved, before COMMIT, list: COMMIT done",
        "self._stripe.events_after": "list: a page is answered",
    },
    "outbox.relay.billing_books:repair": {
        "session.persist": "repair: seen, nothing ordered, repair: an end written, before COMMIT,"
        " repair: an end ordered, repair: a question ordered",
    },
}
_GROUPED = "webhook: written, before COMMIT, webhook: COMMIT done, nobody told"
"""Of the commit that webhooks share with all callbacks."""


def _awaited(place: str) -> Iterator[str]:
    """What a function awaits, as it is written there."""
    module, _, path = place.partition(":")
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(found)))):
        if isinstance(node, ast.Await):
            call = node.value
            yield ast.unparse(call.func if isinstance(call, ast.Call) else call)


@pytest.mark.parametrize("place", _WAYS)
def test_every_await_on_the_way_has_a_point(place: str) -> None:
    assert set(_awaited(place)) == set(_WAYS[place])


def test_every_point_that_is_named_is_in_the_table() -> None:
    said = ", ".join(words for way in _WAYS.values() for words in way.values())
    said = f"{said}, {_GROUPED}"
    # The longer ones first: names of others may be a part of them.
    for name in sorted(POINTS, key=len, reverse=True):
        assert name in said or name not in BILLING, name
        said = said.replace(name, "")
    left = [part for part in said.split(", ") if part and not part.startswith("–")]
    assert left == []


@pytest.mark.parametrize("point", POINTS.values(), ids=lambda point: point.name)
def test_a_point_is_still_there(point: Point) -> None:
    _, _, function = point.resolve()
    assert callable(function)


def test_the_product_knows_no_point() -> None:
    for package in ("gateway", "outbox", "observability", "dashboard"):
        for path in (_ROOT / package).rglob("*.py"):
            text = path.read_text()
            assert "tests.faults" not in text, path
            assert "FAULTS_POINT" not in text, path
