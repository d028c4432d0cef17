"""The reference page of billing, made from its tables.

``python -m outbox.domain.billing_page > runbooks/reference/billing.md`` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from outbox.domain.billing_entitlement import FACTORS, cases
from outbox.domain.billing_facts import GRACE_DAYS, TRIAL_DAYS
from outbox.domain.billing_status import moves_drawn
from outbox.domain.billing_webhooks import table

_HEAD = f"""\
# Billing

Who pays, what is told to Stripe and what Stripe tells. The page is made from the tables beside
`outbox/domain/billing_page.py`, and tests compare it with them; change those, then write it
anew:

    python -m outbox.domain.billing_page > runbooks/reference/billing.md

Members never pay. Whoever was ever a Member stays free, with who decided it and why. A Contact
pays each month after a trial of {TRIAL_DAYS} days that needs no card; a trial that ends without
one pauses, and nothing is charged. When a payment fails, nothing is taken away for {GRACE_DAYS}
days. **No alert ever depends on any of this.**

Billing is on when `STRIPE_API_KEY`, `STRIPE_PRICE_ID` and `STRIPE_WEBHOOK_SECRETS` are set; some
of them without the others stop every process at its start. Where it is off, an event of a type
that begins with `billing.` is refused with a 400 that says so, and nothing of it is stored: it
is to be posted again once billing is on. Post billing events apart from alerts, as one bad event
refuses a whole batch.

No card data is taken: cards are entered on Stripe's page only. A request that holds a card's
number is refused with a 400 that names the place; alerts alone are not, as they are never
refused for what somebody wrote. Of Stripe's webhooks the body is kept sealed, with any card's
number in it masked; no table has a column for a brand, the last four digits or a fingerprint.

`pruuf doctor` asks Stripe whether it takes the key, and whether the price is there, active, and
what Contacts are told; it names the rows that break a rule of billing, and how much differed
when the books were compared last.

## Commands

Each billing event becomes one notification to the recipient `stripe`. A command makes Stripe
agree with what is wanted by now: it looks at the customer, the subscriptions and the newest
invoice, makes one change, and looks again. Whatever is missing is done and nothing twice,
however often it is repeated or redriven. Commands of one account are carried out in the order of
their acceptance; facts count by the event's `time`, so that one which comes late changes nothing
that was said after it.

Every change carries the idempotency key `notification:change`. A lost answer is asked for with
the same key for a day; later, customers are found by the id in their metadata (`pruuf_account`),
and subscriptions by their customer. What ended one with credit stands in its cancellation details,
so that the money goes back even where the relay died with the answer. After a refusal the next try
has another key. What fails for now is tried again for a week, then it waits for a person, as does
what is ours to repair ([error codes](errors.md)); nothing expires.
"""

_COMMANDS = (
    (
        "`billing.account_opened`, a Contact",
        "a customer, and a subscription with a trial; nothing for a Member",
    ),
    (
        "`billing.subscription_cancelled`, `period_end`",
        "it ends with its period; one that is paused ends at once",
    ),
    (
        "`billing.subscription_cancelled`, `now`",
        "it ends; what was paid and not used is paid back",
    ),
    (
        "`billing.subscription_resumed`",
        (
            "it does not end; after its end another begins, without a trial: this needs a "
            "card (else `undeliverable`, reason `no_card`, until one is added)"
        ),
    ),
    (
        "`billing.role_changed`, to a Member",
        "it ends; what was paid and not used is paid back, an open invoice is void",
    ),
    (
        "`billing.payment_method_added`",
        "attached, made default; a paused subscription resumes, an open invoice is tried again",
    ),
    (
        "`billing.payment_method_removed`",
        "detached",
    ),
    (
        "a card saved on Stripe's page",
        "as if it had been added",
    ),
    (
        "a lost dispute",
        "the subscription ends, and nothing is paid back",
    ),
)

_REST = """
How much is paid back is Stripe's own proration: it becomes credit, which is then refunded to the
newest payment that Stripe has of what ended, also where we have not heard of that payment yet. No
number of a card, its holder or its code ever comes here: `payment_method` is Stripe's name for
it.

## Webhooks

`POST /webhooks/stripe` believes the signature over the raw body, under any of the secrets
(newest first while they are rotated), when its time is within five minutes of ours on either
side. Anything else is a 403 and stores nothing but a count. What is genuine is sealed, stored
once by its id and answered with 204; a relay applies it afterwards.

An event counts if its second is later than the last one applied; of the same second, or after a
command changed the object, what differs is asked for (`billing.look`). A final state stays.
Types that are not listed below are kept and counted, of thin events the object is asked for; a
newer API version is tolerated, counted (`pruuf_billing_webhook_versions`) and logged once. After
an outage, relays read what was missed from Stripe's list of events, which reaches back thirty
days.

An event of no account that is known is kept (`unknown`), and asked for where it may be ours
(`asked`). Its customer, invoice or payment may become known later, by another event, by that
answer or by a command: then it is applied as if it came just now, once, with all that it does.
Its record as nobody's stays, under its id and `:nobody`.
"""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(heads) + " |"
    yield "| " + " | ".join("---" for _ in heads) + " |"
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def page() -> str:
    """The whole page."""
    lines = [_HEAD, *_table(("event", "at Stripe"), _COMMANDS), _REST, "## Entitlement", ""]
    lines += [
        "Every case; a blank means: whatever it is. *Opened*, *failing*: since when, lately or",
        "longer ago than trial or grace last. *Period* over: no renewal has been told of yet.",
        "",
    ]
    names = {"was_member": "was a Member", "ends": "set to end", "ended_unpaid": "ended as unpaid"}
    heads = [names.get(name, name) for name in FACTORS]
    lines += _table(
        [*heads, "entitlement", "reason"],
        (
            [
                *("" if value == "*" else value.replace("_", " ") for value in case.when.values()),
                f"`{case.entitlement}`",
                f"`{case.reason}`",
            ]
            for case in cases()
        ),
    )
    lines += ["", "## A subscription's states", ""]
    lines += [
        "As Stripe names them. What we hear may leap over some; what cannot be reached is asked",
        "for, and nothing leaves a final state.",
        "",
        *moves_drawn(),
        "",
        "## Stripe's events",
        "",
    ]
    lines += _table(
        ("type", "effect", "what it tells"),
        ((f"`{row.type}`", str(row.effect), row.note) for row in table().values()),
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
