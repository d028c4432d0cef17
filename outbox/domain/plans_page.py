"""The reference page of the plans, rates and texts, made from their tables.

``python -m outbox.domain.plans_page > runbooks/reference/plans.md`` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from outbox.domain import texts
from outbox.domain.content import Content
from outbox.domain.plans import Channel, Plan, Step
from outbox.domain.policy import Codes, Keep, default_policy
from outbox.domain.rates import default_rates, default_shares
from outbox.domain.segments import segments

_HEAD = """\
# Plans, rates, texts

What is tried for each kind, how fast senders are used, and what people read. The page is made from
`outbox/domain/plans.toml`, `rates.toml` and the texts, and a test compares it with them; change
those, then write it anew:

    python -m outbox.domain.plans_page > runbooks/reference/plans.md

A notification keeps the plan and the text that it was accepted with.

## Plans

A step ends with proof (*delivered*), with a failure that is final for its channel, with retries
that fill its window, or with a receipt that does not come in time; then the next step is taken at
once. After the last step of every Contact of an alert, the operator is paged, once.
"""

_TOPICS = """
An announcement to recipients has the plan `announcement.published`, one to a topic that of
`announcement.topic`: there no hour is quiet, as it is one message to devices in every time zone.
A device follows a topic by `device.topics`, and the topic of its language (`lang-es`) with it; so
an announcement reaches each device in one language, which is English for those who speak none of
the others. No topic can be made a step of anything else, least of all of an alert.

FCM keeps a push for a device that is off until its notification expires, unless a step says less;
the device may show only the newest of several then, so nothing urgent relies on it.
"""

_COMMANDS = """
Kinds that begin with `billing.`, but for the notices, tell nobody anything: they are commands at
Stripe, each a few calls, and no other kind may have such a step. One command of an account begins
when those before it have ended. See [billing](billing.md).
"""

_POLICY = """
## A policy of your own

`PRUUF_POLICY` names a TOML file over these defaults. It has the form of `plans.toml`: a table for
each kind that is to be different, with the fields that are. Further tables set rates and limits. A
mistake stops every process at its start, with its place and what is accepted.

```toml
["checkin.confirmed"]
quiet_hours = "21:00-08:00"           # by the recipient's clock; never for alerts
steps = [
  { channel = "push", retry_within_s = 600 },
  { channel = "sms", receipt_within_s = 300, retry_within_s = 600 },
]

[rates]                               # messages per second, by type of sender
long_code = 3

[senders]                             # of single senders
"+12025550123" = 10

[codes]                               # one-time codes
countries = ["US", "CA", "MX"]

[keep]                                # days, after which it is dropped
texts_days = 14
```

`on_unknown` says what follows when it stays unknown whether a text was sent: `resend` prefers a
duplicate to silence (alerts must), `resend_if_absent` sends again only after Twilio has said twice
that it has no such message.
"""

_EXAMPLE = Content(
    phone="+12025550123",
    member_name="Alice",
    member_phone="+12025550199",
    inviter_name="Alice",
    contact_name="Bob",
    code="482913",
    at=datetime(2026, 11, 23, 8, 30, tzinfo=UTC),
)
_REFERENCE = "7K2M9QX1"


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_plans(), *_rates(), _POLICY, *_codes(), *_kept(), *_texts()]) + "\n"


def _plans() -> Iterator[str]:
    policy = default_policy()
    yield from _table(
        ("kind", "lane", "steps", "expires after", "unknown outcome", "quiet hours"),
        (
            (
                f"`{kind}`",
                plan.lane,
                " → ".join(_step(step) for step in plan.steps),
                _span(plan.expires_after_s),
                f"`{plan.on_unknown}`",
                plan.quiet_hours or "–",
            )
            for kind, plan in sorted(policy.plans.items(), key=_by_lane)
        ),
    )

    yield _TOPICS
    yield _COMMANDS


def _by_lane(item: tuple[str, Plan]) -> tuple[int, str]:
    return int(item[1].lane_number), item[0]


_KEPT = {
    "texts_days": "texts, names and numbers of notifications; bodies of events; texts from people"
    " that somebody has decided about",
    "callbacks_days": "verified callbacks that were applied; of those that could not be, and of"
    " Stripe's whose account is not known, none",
    "figures_days": "the minutes that the objectives are counted by",
}

_CHANNELS = {
    Channel.SMS: "SMS",
    Channel.PUSH: "push",
    Channel.PAGE: "operator page",
    Channel.TOPIC: "push to a topic",
    Channel.TOPICS: "FCM's topics",
    Channel.STRIPE: "Stripe",
}


def _step(step: Step) -> str:
    name = _CHANNELS[step.channel]
    sender = " by another sender" if step.sender == "other" else ""
    proof = (
        f"receipt within {_span(step.receipt_within_s)}"
        if step.receipt_within_s is not None
        else "acceptance is the proof"
    )
    kept = "" if step.ttl_s is None else f"; kept by FCM for {_span(step.ttl_s)}"
    return f"{name}{sender} ({proof}; retried for {_span(step.retry_within_s)}{kept})"


def _span(seconds: int | None) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _rates() -> Iterator[str]:
    yield "\n## Rates\n"
    yield "Messages per second of one sender, all relays together. They hold where Twilio and FCM"
    yield "themselves are called; a server that stands in for them (`TWILIO_API_BASE`,"
    yield "`FCM_API_BASE`, `STRIPE_API_BASE`) has only the rates of a policy file.\n"
    rates = msgspec.structs.asdict(default_rates())
    yield from _table(("sender", "messages/s"), ((f"`{k}`", f"{v:g}") for k, v in rates.items()))
    shares = msgspec.structs.asdict(default_shares())
    yield "\nEach lane has a right to its share, and may use what those below it leave:"
    yield ", ".join(f"{name} {share:.0%}" for name, share in shares.items()) + "."


_CODES = {
    "countries": "countries that codes go to (ISO 3166-1); elsewhere nobody gets one",
    "per_number": "codes to one number in ten minutes",
    "per_prefix": "codes to a range (all but the last three digits) in ten minutes",
    "per_country_hour": "codes to a country in an hour",
    "per_caller_minute": "requests of one API key in a minute; beyond it 429",
    "usd_per_text": "what a text costs by country, in dollars: by your account's price list",
    "usd_elsewhere": "what is taken for a country that the list does not name",
    "usd_per_prefix_hour": "what codes to one range may cost in an hour, in dollars",
    "usd_per_caller_hour": "what codes of one API key may cost in an hour, in dollars",
    "least_conversion": "share of an hour's codes that is used; below it the operator is told",
    "stop_conversion": "share below which none goes to that country for an hour; 0: never",
}


def _codes() -> Iterator[str]:
    yield "## One-time codes\n"
    limits = msgspec.structs.asdict(Codes())
    yield from _table(
        ("limit", "default", "what it is"),
        ((f"`{name}`", _limit(value), _CODES[name]) for name, value in limits.items()),
    )


def _limit(value: Mapping[str, float] | Sequence[str] | float) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each:g}" for name, each in value.items())
    return f"{value:g}" if isinstance(value, int | float) else ", ".join(value)


def _kept() -> Iterator[str]:
    yield "\n## What is dropped, and when\n"
    yield "So many days after it is finished, by a relay; `pruuf retain` does it at once, and with"
    yield "`--dry-run` says what would go. What is unfinished or parked stays, as does the ledger:"
    yield "states, times, codes, providers' ids and keyed hashes.\n"
    days = msgspec.structs.asdict(Keep())
    yield from _table(
        ("`[keep]`", "default", "what"),
        ((f"`{name}`", f"{days[name]:g}", what) for name, what in _KEPT.items()),
    )


def _texts() -> Iterator[str]:
    yield "\n## Texts\n"
    yield "With the names Alice and Bob. Segments are what a carrier counts: 160 characters of the"
    yield "GSM alphabet, or 70 when one is outside of it; a longer text is sent in parts.\n"
    rows = [
        (f"`{template}`", locale, sms, str(segments(sms)))
        for template in texts.templates()
        for locale in texts.locales(template)
        for short in (False, True)
        if (sms := texts.sms_text(template, locale, _EXAMPLE, _REFERENCE, short=short))
        and (not short or sms != texts.sms_text(template, locale, _EXAMPLE, _REFERENCE))
    ]
    yield from _table(("template", "locale", "SMS", "segments"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


if __name__ == "__main__":
    sys.stdout.write(page())
