"""Do the providers' ledger and the database tell the same story? Each check names its offenders."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any
from uuid import UUID

from msgspec import Struct

from outbox.domain.plans import OnUnknown, Plan
from outbox.domain.plans import decode as decode_plan
from outbox.domain.references import Purpose, Reference, ReferenceSigner
from outbox.domain.states import FINAL, State
from outbox.keyfile import parse_keys
from tests.faults.stack import Stack

_SENT = {"accepted", "warning"}
_UNKNOWN = "outcome_unknown"


class Stored(Struct, frozen=True):
    """A notification."""

    id: UUID
    event: UUID
    kind: str
    recipient: str
    state: str
    reason: str | None
    proof: str | None
    clears: UUID | None
    plan: bytes


class Called(Struct, frozen=True):
    """An attempt."""

    notification: UUID
    fence: int
    step: int
    what: str
    provider: str
    result: str
    code: str | None
    provider_id: str | None


class Text(Struct, frozen=True):
    """A text in Twilio's ledger."""

    id: str
    reference: Reference


class Books:
    """Both sides, read once nothing moves any more."""

    def __init__(self, stack: Stack) -> None:
        signer = ReferenceSigner(parse_keys(stack.environ["PRUUF_KEYS"]))
        query = (
            "SELECT id, event, kind, recipient, state, reason, proof, clears, plan"
            " FROM notification"
        )
        self.stored = {row[0]: Stored(*row) for row in stack.query(query)}
        query = (
            "SELECT notification, fence, step, what, provider, result, code, provider_id"
            " FROM attempt ORDER BY notification, fence, ordinal"
        )
        self.calls: defaultdict[UUID, list[Called]] = defaultdict(list)
        for row in stack.query(query):
            self.calls[row[0]].append(Called(*row))
        self.heard: defaultdict[UUID, set[str]] = defaultdict(set)
        for one, provider_id in stack.query(
            "SELECT notification, provider_id FROM receipt WHERE provider_id IS NOT NULL"
        ):
            self.heard[one].add(provider_id)
        self.due = dict(stack.query("SELECT notification, due_at = 'infinity' FROM due"))
        self.open_alerts = stack.query(
            "SELECT member, open_event, notifications, page FROM alert WHERE open_event IS NOT NULL"
        )
        self.redriven = {
            one
            for (one,) in stack.query(
                "SELECT notification FROM action WHERE what = 'redrive' AND result = 'redriven'"
            )
        }
        self.texts: defaultdict[UUID | None, list[Text]] = defaultdict(list)
        for entry in stack.entries("twilio"):
            reference = signer.verify(entry["reference"], Purpose.SMS_STATUS)
            name = None if reference is None else reference.notification
            if reference is None:
                reference = Reference(
                    purpose=Purpose.SMS_STATUS, notification=UUID(int=0), step=0, fence=0, lane=0
                )
            self.texts[name].append(Text(entry["id"], reference))
        self.pushes: defaultdict[str, list[str]] = defaultdict(list)
        for entry in stack.entries("fcm"):
            self.pushes[entry["reference"]].append(entry["id"])
        self.pages = Counter(entry["reference"] for entry in stack.entries("operator"))

    def plan(self, one: UUID) -> Plan:
        """Its plan."""
        return decode_plan(bytes(self.stored[one].plan))

    def taken(self, one: UUID) -> int:
        """How much of it the providers took."""
        return len(self.texts[one]) + len(self.pushes[str(one)])


class Verdict(Struct):
    """What was found."""

    offenders: list[str] = []
    unheard: int = 0
    """Texts that the database never heard of by name: their outcome stayed unknown."""
    killed: int = 0
    """Of them those whose relay died before it could write anything."""
    twice: list[UUID] = []
    """Alerts of which one step was texted twice."""

    def say(self, wrong: bool, what: str, one: object) -> None:
        """Note an offender."""
        if wrong:
            self.offenders.append(f"{what}: {one}")


def judge(books: Books, promised: dict[UUID, str]) -> Verdict:
    """All checks."""
    verdict = Verdict()
    for one, recipient in promised.items():
        known = books.stored.get(one)
        verdict.say(known is None, "a 202 was given for what is not there", one)
        verdict.say(known is not None and known.recipient != recipient, "another recipient", one)
    for notification in books.stored.values():
        _ends(books, notification, verdict)
        _proof(books, notification, verdict)
        _steps(books, notification, verdict)
    _ledger(books, verdict)
    _names(books, verdict)
    _alerts(books, verdict)
    return verdict


def _ends(books: Books, one: Stored, verdict: Verdict) -> None:
    """Exactly one named state: final without a due row, or parked with one at infinity."""
    has_due = one.id in books.due
    verdict.say(one.state in FINAL and has_due, "final, and has a due row", one.id)
    verdict.say(one.state not in FINAL and not has_due, "not final, and has no due row", one.id)
    verdict.say(one.state == State.OPEN, "still open", one.id)
    if has_due:
        verdict.say(not books.due[one.id], "due at last, and nobody works on it", one.id)


def _proof(books: Books, one: Stored, verdict: Verdict) -> None:
    """What is said of it has happened at a provider."""
    texts, pushes = books.texts[one.id], books.pushes[str(one.id)]
    if one.state == State.CANCELLED:
        verdict.say(books.taken(one.id) > 0, "cancelled, and a provider has it", one.id)
    if one.state != State.DELIVERED:
        return
    if one.kind == "operator.page":
        verdict.say(books.pages[str(one.id)] != 1, "a page that was not made once", one.id)
        return
    verdict.say(one.proof == "carrier" and not texts, "delivered by a carrier without a text", one)
    verdict.say(one.proof == "app" and not pushes, "acknowledged without a push", one)
    verdict.say(one.proof == "accepted" and not pushes, "accepted without a push", one)


def _steps(books: Books, one: Stored, verdict: Verdict) -> None:
    """No step is texted twice but where a duplicate is better than silence."""
    if one.id in books.redriven:
        return
    times = Counter(text.reference.step for text in books.texts[one.id])
    if not any(n > 1 for n in times.values()):
        return
    if books.plan(one.id).on_unknown is OnUnknown.RESEND:
        verdict.twice.append(one.id)
        asked = [call for call in books.calls[one.id] if call.what == "ask"]
        verdict.say(not asked, "texted twice, and nobody asked before", one.id)
        return
    verdict.say(True, "texted twice", one.id)


def _ledger(books: Books, verdict: Verdict) -> None:
    """Everything that a provider took is known here."""
    for text in books.texts[None]:
        verdict.say(True, "a text that nobody here sent", text.id)
    for one, texts in books.texts.items():
        if one is None:
            continue
        verdict.say(one not in books.stored, "a text of what is not stored", one)
        for text in texts:
            _heard_of(books, one, text, verdict)
    for name, ids in books.pushes.items():
        push = UUID(name)
        verdict.say(push not in books.stored, "a push of what is not stored", name)
        tries = [c for c in books.calls[push] if c.provider == "fcm" and c.what == "send"]
        named = {call.provider_id for call in tries}
        lost = sum(call.result == _UNKNOWN for call in tries)
        unnamed = len([each for each in ids if each not in named])
        verdict.killed += max(0, unnamed - lost)
    for name, times in books.pages.items():
        verdict.say(UUID(name) not in books.stored, "a page of what is not stored", name)
        verdict.say(times != 1, "a page that was made twice", name)


def _heard_of(books: Books, one: UUID, text: Text, verdict: Verdict) -> None:
    calls = books.calls[one]
    if text.id in books.heard[one] or any(call.provider_id == text.id for call in calls):
        return
    verdict.unheard += 1
    of_it = [c for c in calls if c.fence == text.reference.fence and c.what == "send"]
    if not of_it:
        verdict.killed += 1
        return
    verdict.say(
        all(call.result != _UNKNOWN for call in of_it),
        "a text whose call is said to have ended otherwise",
        one,
    )


def _names(books: Books, verdict: Verdict) -> None:
    """Everything that is said here to have been taken, a provider has."""
    texts = {text.id for texts in books.texts.values() for text in texts}
    pushes = {each for ids in books.pushes.values() for each in ids}
    for one, calls in books.calls.items():
        for call in calls:
            if call.result in _SENT and call.provider_id is not None:
                verdict.say(
                    call.provider_id not in texts | pushes,
                    f"a name that {call.provider} does not know",
                    one,
                )
    for one, names in books.heard.items():
        verdict.say(not names <= texts, "a receipt of what was not sent", one)


def _alerts(books: Books, verdict: Verdict) -> None:
    """An open alert has reached somebody or paged; one that is over was taken back."""
    pages = Counter(
        one.event
        for one in books.stored.values()
        if one.kind == "operator.page" and one.clears is None
    )
    still_open: set[UUID] = set()
    for member, event, notifications, page in books.open_alerts:
        still_open |= set(notifications)
        states = {books.stored[one].state for one in notifications}
        knows = State.DELIVERED in states or states == {State.CANCELLED}
        paged = page is not None and books.pages[str(page)] == 1
        verdict.say(not knows and not paged, "an alert that nobody knows of", member)
        verdict.say(pages[event] > 1, "an alert that paged twice", member)
    cleared = {one.clears: one for one in books.stored.values() if one.kind == "checkin.all_clear"}
    for one in books.stored.values():
        if one.kind != "checkin.missed" or one.id in still_open:
            continue
        clear = cleared.get(one.id)
        taken = books.taken(one.id) > 0
        verdict.say(taken and clear is None, "alerted, and never told of the end", one.id)
        if clear is None:
            continue
        withdrawn = clear.reason in {"cancelled", "withdrawn"}
        verdict.say(
            taken and clear.reason == "never_alerted", "alerted, and held not to be", one.id
        )
        maybe = taken or any(c.result == _UNKNOWN or c.what == "ask" for c in books.calls[one.id])
        verdict.say(
            books.taken(clear.id) > 0 and not maybe and not withdrawn,
            "an all-clear without an alert",
            one.id,
        )


def summary(books: Books) -> dict[str, Any]:
    """Figures for the print."""
    return {
        "notifications": len(books.stored),
        "texts": sum(map(len, books.texts.values())),
        "pushes": sum(map(len, books.pushes.values())),
        "pages": sum(books.pages.values()),
        "states": dict(Counter(one.state for one in books.stored.values())),
    }
