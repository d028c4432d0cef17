"""A notification's timeline as lines for people: what happened, what is known of it, what followed.

The same story in the terminal and on the pages. A decision stands on the line of the fact that
caused it; one that nothing said caused, such as a deadline, has a line of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from outbox import wording
from outbox.domain.outcomes import SENT
from outbox.domain.plans import Channel
from outbox.domain.timeline import ASKED, NOT_FASTER, SKIPPED, Entry
from outbox.store.views import Notification

_ANSWER = re.compile("^asked(?:, and the provider| for its receipt:) ")
_SOON = timedelta(seconds=2)
"""A final state this soon after the fact that caused it needs no line of its own."""


class Line(Struct, kw_only=True):
    """One line."""

    at: datetime
    what: str
    known: str = ""
    then: str = ""
    """The decision that followed; empty for none."""


def ending(told: Notification) -> str:
    """How it ended or stands, as the title says it."""
    if told.final_at is None:
        if told.state == "parked":
            return f"parked: {wording.reason(told.reason)}"
        return wording.state(told.state)
    after = wording.span((told.final_at - told.created_at).total_seconds())
    if told.state == "delivered":
        return f"reached by {wording.channel(told.channel)} after {after}"
    state, why = wording.state(told.state), wording.reason(told.reason)
    if told.reason == "cancelled":
        return state
    return f"{state}: {why}" if told.state == "cancelled" else f"{state} after {after}: {why}"


def lines(told: Notification) -> list[Line]:
    """The story, in order."""
    story: list[Line] = []
    cause: Entry | None = None
    timeline = told.timeline
    for place, entry in enumerate(timeline):
        following = timeline[place + 1 :]
        if _leads_nowhere(entry, following):
            continue
        if _is_decision(entry):
            _decide(story, cause, entry, told)
            cause = None
        else:
            what, known = _fact(entry)
            story.append(Line(at=entry.at, what=what, known=known))
            cause = entry
    return story


def _is_decision(entry: Entry) -> bool:
    """Not what a person did, which names who it was."""
    by_person = (entry.detail or "").startswith("by ") and entry.code is None
    return entry.what == "decision" or (entry.what == "cancelled" and not by_person)


def _decide(
    story: list[Line],
    cause: Entry | None,
    entry: Entry,
    told: Notification,
) -> None:
    if entry.outcome == "next_step":
        then, why = _next_step(entry)
        caused = cause is not None and entry.at <= _ended(cause) + _SOON and why is None
    else:
        then, why = _final(entry, told)
        caused = cause is not None and entry.at <= _ended(cause) + _SOON
    if caused and not story[-1].then:
        story[-1].then = then
    else:
        story.append(Line(at=entry.at, what=why or "decision", then=then))


def _leads_nowhere(entry: Entry, following: Sequence[Entry]) -> bool:
    """A step that was due and then seen to be of no use: the end itself says it better."""
    return (
        entry.outcome == "next_step"
        and bool(following)
        and _is_decision(following[0])
        and following[0].outcome != "next_step"
    )


def _next_step(entry: Entry) -> tuple[str, str | None]:
    """What comes next; and what decided it, where that is told by no line of its own."""
    why = (entry.detail or "").rpartition(": next ")[0]
    then = f"next: {wording.channel(entry.channel)}"
    if why.startswith("final for"):
        then += " (final for this way)"
    elif "opted out" in why:
        then += " (opted out)"
    provider, _, rest = why.partition(" ")
    if rest in {*SKIPPED.values(), NOT_FASTER}:
        return then, f"{wording.provider(provider)} {rest}"
    if why.startswith("no receipt"):
        return then, why
    if not why:
        return then, "the steps before cannot work"
    return then, None


def _final(entry: Entry, told: Notification) -> tuple[str, str | None]:
    state = wording.state(entry.outcome or "")
    if entry.outcome == "delivered":
        proof = wording.PROOFS.get(told.proof or "", told.proof or "")
        return (f"{state}, {proof}" if proof else state), None
    if entry.code == "cancelled":
        return state, None
    return f"{state}: {wording.reason(entry.code)}", None


def _ended(entry: Entry) -> datetime:
    return entry.at + timedelta(milliseconds=entry.latency_ms or 0)


def _fact(entry: Entry) -> tuple[str, str]:
    if entry.what == "accepted":
        return f"accepted {entry.detail or ''}".rstrip(), ""
    if entry.what == "attempt":
        return _attempt(entry)
    if entry.what == "receipt":
        said = f"receipt: {entry.outcome}"
        if entry.provider == "app":
            said = f"app: {entry.outcome}"
        return said, wording.with_code(entry.provider, entry.code) if entry.code else ""
    # What a person did, and what came of it: "cancelled by ops: wrong number", "in flight".
    who = f"{entry.what} {entry.detail or ''}".rstrip()
    return who, "" if entry.outcome == entry.what else (entry.outcome or "").replace("_", " ")


def _attempt(entry: Entry) -> tuple[str, str]:
    by = wording.provider(entry.provider)
    detail = entry.detail or ""
    if detail.startswith(ASKED):
        answer = _ANSWER.sub("", detail.removeprefix(ASKED).removeprefix("; "))
        return f"asked {by}", ", ".join(part for part in (answer, _took(entry)) if part)
    called = entry.code is None or not entry.code.startswith("no_")
    what = f"{wording.channel(entry.channel)} through {by}"
    if entry.channel == Channel.PAGE:
        what = f"page to {by}"
    if not called:
        return f"{wording.channel(entry.channel)}: {wording.code_words(None, entry.code or '')}", ""
    result = wording.RESULTS.get(entry.outcome or "", entry.outcome)
    if entry.code:
        result = f"{result}: {wording.with_code(entry.provider, entry.code)}"
    elif detail and entry.outcome not in SENT:
        result = f"{result}: {detail}"
    again = f"try {entry.attempt}" if (entry.attempt or 0) > 1 else None
    named = entry.provider_id.rpartition("/")[2] if entry.provider_id else None
    stale = "its claim had been lost" if "claim had been lost" in detail else None
    known: list[str | None] = [result, again, _took(entry), named, stale]
    return what, ", ".join(part for part in known if part)


def _took(entry: Entry) -> str | None:
    return f"{entry.latency_ms} ms" if entry.latency_ms else None
