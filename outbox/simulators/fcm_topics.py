"""Who subscribed to which topic: the older batch calls, and FCM v1's one device at a time.

Kept beside the ledger, so that it survives a restart. The tokens' magic holds here as well.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from outbox.simulators import google_tokens, magic
from outbox.simulators.asgi import Reply, Request, json_reply
from outbox.simulators.fcm_messages import failure
from outbox.simulators.ledger import Ledger, connect

_MAX_BATCH = 1000
_MAX_TOPICS = 2000
_REFUSED = 400
_TOPIC = re.compile(r"[A-Za-z0-9_.~%-]{1,900}")
_PREFIX = "/topics/"
_BATCHES = {"/iid/v1:batchAdd": True, "/iid/v1:batchRemove": False}
_ONE = re.compile(
    r"/v1/projects/(?P<project>[^/]+)/registrations/(?P<address>[^/]+)/topicSubscriptions"
    r"(?:/(?P<topic>[^/]+))?",
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS subscription (
  topic TEXT NOT NULL, address TEXT NOT NULL, is_in INTEGER NOT NULL,
  PRIMARY KEY (topic, address)) WITHOUT ROWID
"""
# Of several changes of one subscription in a batch the last one stays.
_KEEP = """
INSERT INTO subscription (topic, address, is_in)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
FROM json_each(?) WHERE true
ON CONFLICT (topic, address) DO UPDATE SET is_in = excluded.is_in
"""
_MEMBERS = "SELECT topic, address FROM subscription WHERE is_in = 1"

_OF_A_BATCH = {404: "NOT_FOUND", 400: "INVALID_ARGUMENT", 403: "INVALID_ARGUMENT"}
"""What a batch says of an address; everything else is INTERNAL."""


def is_topics(path: str) -> bool:
    """Whether a path is one of these calls."""
    return path in _BATCHES or _ONE.fullmatch(path) is not None


class Topics:
    """The topics of one project."""

    def __init__(self, ledger: Ledger, *, project: str) -> None:
        """Read what the ledger's file holds."""
        self._ledger = ledger
        self._project = project
        self._refused: Counter[str] = Counter()
        self._members: dict[str, set[str]] = {}
        ledger.define(_SCHEMA)
        connection = connect(ledger.path)
        for topic, address in connection.execute(_MEMBERS):
            self._members.setdefault(topic, set()).add(address)
        connection.close()

    def members(self) -> dict[str, list[str]]:
        """Every topic that has members."""
        return {name: sorted(of) for name, of in sorted(self._members.items()) if of}

    async def handle(self, request: Request) -> Reply:
        """Answer one of these calls."""
        if not google_tokens.is_good(request.header(b"authorization"), time.time()):
            return failure(401, None, "Request had invalid authentication credentials.")
        if request.path in _BATCHES:
            return await self._batch(request, subscribe=_BATCHES[request.path])
        return await self._single(request)

    async def _batch(self, request: Request, *, subscribe: bool) -> Reply:
        if request.method != "POST":
            return _wrong(405, "MethodNotAllowed")
        if request.header(b"access_token_auth") != b"true":
            return _wrong(401, "Unauthorized")
        try:
            wanted: Any = msgspec.json.decode(request.body)
        except msgspec.DecodeError:
            return _wrong(400, "InvalidJson")
        to = wanted.get("to") if isinstance(wanted, dict) else None
        addresses = wanted.get("registration_tokens") if isinstance(wanted, dict) else None
        topic = to.removeprefix(_PREFIX) if isinstance(to, str) and to.startswith(_PREFIX) else ""
        if not _TOPIC.fullmatch(topic):
            return _wrong(400, "InvalidTopicName")
        if not isinstance(addresses, list) or not 1 <= len(addresses) <= _MAX_BATCH:
            return _wrong(400, "InvalidNumberOfTokens")
        results = [self._result(address, topic, subscribe=subscribe) for address in addresses]
        changed = [a for a, wrong in zip(addresses, results, strict=True) if wrong is None]
        await self._change(topic, changed, subscribe=subscribe)
        return json_reply(200, {"results": [{"error": r} if r else {} for r in results]})

    def _result(self, address: object, topic: str, *, subscribe: bool) -> str | None:
        """What is wrong with one address of a batch; null: nothing."""
        if not isinstance(address, str) or not address:
            return "INVALID_ARGUMENT"
        outcome = magic.of_token(address)
        if outcome.refuses(self._refused, address):
            return _OF_A_BATCH.get(outcome.status, "INTERNAL")
        return "TOO_MANY_TOPICS" if subscribe and self._is_full(address, topic) else None

    async def _single(self, request: Request) -> Reply:  # noqa: PLR0911 - one per refusal
        asked = _ONE.fullmatch(request.path)
        if asked is None or asked["project"] != self._project:
            return failure(404, None, "Requested entity was not found.")
        subscribe = request.method == "POST" and asked["topic"] is None
        if not subscribe and (request.method != "DELETE" or asked["topic"] is None):
            return failure(405, None, "Method not allowed.")
        address = unquote(asked["address"])
        named = request.query().get("topic_name", "") if subscribe else unquote(asked["topic"])
        if not _TOPIC.fullmatch(named):
            return failure(400, "INVALID_ARGUMENT", "Not a topic.", violation=("topic_name", named))
        outcome = magic.of_token(address)
        if outcome.refuses(self._refused, address):
            detail = outcome.code if isinstance(outcome.code, str) else None
            retry_after = outcome.retry_after
            return failure(outcome.status, detail, outcome.what, retry_after=retry_after)
        member = address in self._members.get(named, ())
        if subscribe and member:
            return failure(409, None, "The subscription is there already.")
        if subscribe and self._is_full(address, named):
            return failure(429, "QUOTA_EXCEEDED", "Too many topics.")
        missing_is_fine = request.query().get("allow_missing") == "true"
        if not subscribe and not member and not missing_is_fine:
            return failure(404, None, "There is no such subscription.")
        await self._change(named, [address], subscribe=subscribe)
        return json_reply(200, {})

    def _is_full(self, address: str, topic: str) -> bool:
        others = (of for name, of in self._members.items() if name != topic)
        return sum(address in of for of in others) >= _MAX_TOPICS

    async def _change(self, topic: str, addresses: Sequence[str], *, subscribe: bool) -> None:
        members = self._members.setdefault(topic, set())
        if subscribe:
            members.update(addresses)
        else:
            members.difference_update(addresses)
        for address in addresses:
            self._ledger.put(_KEEP, (topic, address, subscribe))
        await self._ledger.committed()


def _wrong(status: int, error: str) -> Reply:
    """A refusal of a whole batch, in its older shape."""
    reply = json_reply(status, {"error": error})
    reply.refused = error
    return reply
