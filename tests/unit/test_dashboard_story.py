"""A timeline as lines: each decision stands with the fact that caused it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from outbox import story
from outbox.domain import plans
from outbox.domain.ids import new_id
from outbox.domain.timeline import Act, Call, Life, Receipt, tell
from outbox.store.views import Notification

_FINAL = "next: push (final for this way)"
_START = datetime(2026, 11, 23, 9, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return _START + timedelta(seconds=seconds)


def _call(after_s: float, step: int, channel: str, **known: object) -> Call:
    fields: dict[str, object] = {
        "at": _at(after_s),
        "step": step,
        "fence": step + 1,
        "attempt": 1,
        "what": "send",
        "channel": channel,
        "provider": "fcm" if channel == "push" else "twilio",
        "provider_id": None,
        "result": "accepted",
        "code": None,
        "detail": None,
        "latency_ms": 10,
        "stale": False,
    }
    return Call(**{**fields, **known})  # type: ignore[arg-type] # fields of a call


def _receipt(after_s: float, step: int, status: str, rank: int, code: str | None = None) -> Receipt:
    return Receipt(
        at=_at(after_s),
        step=step,
        fence=step + 1,
        source="app" if status == "received" else "twilio",
        provider_id=None,
        status=status,
        code=code,
        rank=rank,
    )


def _told(  # one parameter for each thing that is stored
    *calls: Call,
    receipts: tuple[Receipt, ...] = (),
    acts: tuple[Act, ...] = (),
    state: str = "open",
    reason: str | None = None,
    channel: str | None = None,
    after_s: float | None = None,
    step: int = 0,
) -> Notification:
    proof = {"sms": "carrier", "push": "app"}.get(channel or "")
    final_at = None if after_s is None else _at(after_s)
    life = Life(
        plan=plans.defaults()["checkin.missed"],
        state=state,
        reason=reason,
        proof=proof,
        channel=channel,
        created_at=_START,
        final_at=final_at,
        step=step,
        origin="backend (evt-1)",
        calls=calls,
        receipts=receipts,
        acts=acts,
    )
    return Notification(
        id=new_id(0),
        event_id=new_id(0),
        kind="checkin.missed",
        subject="m_1",
        recipient="c_1",
        lane="safety",
        state=state,
        reason=reason,
        proof=proof,
        channel=channel,
        step=step,
        created_at=_START,
        final_at=final_at,
        expires_at=_at(3600),
        next_at=None,
        attempts=len(calls),
        plan=[],
        timeline=tell(life),
    )


def _lines(told: Notification) -> list[str]:
    return [
        f"{line.what} | {line.known}" + (f" → {line.then}" if line.then else "")
        for line in story.lines(told)
    ]


def test_a_failure_by_the_carriers_word_leads_to_the_next_step() -> None:
    told = _told(
        _call(0.006, 0, "sms", provider_id="SM1"),
        _call(38.214, 1, "push", provider_id="projects/p/messages/7"),
        receipts=(_receipt(38.21, 0, "undelivered", 8, "30005"), _receipt(41.02, 1, "received", 9)),
        state="delivered",
        channel="push",
        after_s=41.03,
        step=1,
    )
    assert story.ending(told) == "reached by push after 41 s"
    assert _lines(told) == [
        "accepted from backend (evt-1) | ",
        "SMS through Twilio | accepted, 10 ms, SM1",
        "receipt: undelivered | unknown handset (30005) → next: push",
        "push through FCM | accepted, 10 ms, 7",
        "app: received |  → delivered, acknowledged by the app",
    ]


def test_a_deadline_has_a_line_of_its_own() -> None:
    told = _told(
        _call(0.0, 0, "sms"),
        _call(60.2, 1, "push"),
        receipts=(_receipt(0.1, 0, "sent", 4),),
        step=1,
    )
    lines = _lines(told)
    assert lines[2:4] == ["receipt: sent | ", "no receipt within 60 s |  → next: push"]
    assert story.lines(told)[3].at == _at(60.01)


def test_a_step_of_no_use_is_not_told() -> None:
    told = _told(
        _call(0.0, 0, "sms", result="channel_final", code="21211"),
        _call(0.02, 1, "push", result="channel_final", code="no_device", latency_ms=0),
        state="undeliverable",
        reason="no_device",
        after_s=0.04,
        step=2,
    )
    assert story.ending(told) == "not reached after 40 ms: no device"
    assert _lines(told)[1:] == [
        "SMS through Twilio | refused: not a valid number (21211), 10 ms → " + _FINAL,
        "push: no device |  → not reached: no device",
    ]


def test_a_provider_that_is_down_is_passed_over() -> None:
    told = _told(
        _call(0.0, 0, "sms", what="skip", result="retryable", code="provider_down"),
        _call(0.02, 1, "push"),
        step=1,
    )
    assert _lines(told)[1] == "Twilio is down |  → next: push"


def test_the_provider_is_asked() -> None:
    told = _told(
        _call(0.0, 0, "sms", result="outcome_unknown", code="timeout"),
        _call(3.0, 0, "sms", what="ask", detail="found by asking", provider_id="SM1"),
        _call(9.0, 0, "sms", what="ask", detail="asked for its receipt: queued"),
    )
    assert _lines(told)[1:] == [
        "SMS through Twilio | outcome unknown: no answer in time, 10 ms",
        "asked Twilio | found by asking, 10 ms",
        "asked Twilio | queued, 10 ms",
    ]


def test_what_a_person_did_is_told_with_who_it_was() -> None:
    cancel = Act(at=_at(5), what="cancel", actor="ops", reason="wrong Member", result="cancelled")
    told = _told(acts=(cancel,), state="cancelled", reason="cancelled", after_s=5.0)
    assert story.ending(told) == "withdrawn"
    assert _lines(told)[1:] == ["cancelled by ops: wrong Member |  → withdrawn"]


def test_a_late_end_has_a_line_of_its_own() -> None:
    told = _told(
        _call(0.0, 0, "sms"),
        receipts=(_receipt(1.0, 0, "delivered", 9),),
        state="delivered",
        channel="sms",
        after_s=30.0,
    )
    assert story.lines(told)[-1].at == _at(30.0)
    assert _lines(told)[-1] == "decision |  → delivered, by the carrier's word"
