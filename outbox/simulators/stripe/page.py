"""The part of the reference page that is about Stripe, made from the table of cards."""

from __future__ import annotations

from outbox.simulators.stripe import cards, idempotency, webhooks
from outbox.simulators.stripe.api import STORED
from outbox.simulators.stripe.catalog import AMOUNT, PRICE
from outbox.simulators.stripe.events import API_VERSION
from outbox.simulators.stripe.world import SETTINGS

_SECTION = """\
## Stripe

Customers, payment methods, products and prices, subscriptions and their items, invoices with lines
and payments, payment and setup intents, charges, refunds, credit notes, balance transactions,
disputes, Checkout in mode `setup`, sessions of the billing portal, events and test clocks, in the
shapes of version `{version}`, which the SDK pins. One price is there from the start: `{price}`,
{amount} cents a month. There are no taxes, coupons, schedules, invoices that are sent, nor payments
outside of invoices; a parameter that is not simulated is refused as unknown.

What a subscription does is Stripe's: the invoice of a renewal is a draft for an hour, the first
payment has 23 hours, a trial is reminded of three days before its end or at once, nothing under
50 cents is charged, a credit is used by the next invoice.

### Magic payment methods

Attach one of them (`POST /v1/payment_methods/NAME/attach`), or name it where a page asks for a
card. The answer has an id of its own. `tok_…` makes the same in `POST /v1/payment_methods`.

| payment method | card ends in | what happens | code | decline code |
| --- | --- | --- | --- | --- |
{cards}

`pm_card_sim_CODE` attaches, and each payment with it is declined with that decline code;
`pm_card_sim_CODE_after_2` lets two payments succeed before. CODE is one of {declines}.

After {hard} a charge is not tried again until there is another payment method; the tries of the
schedule are counted all the same.

### Time

The account has a clock, which ticks; customers that name a `test_clock` live by that one. Test
clocks are advanced by Stripe's own calls: at most two intervals at a time, `advancing` until they
are `ready`. The account's clock is moved for everybody else, and stands still while `frozen`:

    POST /_sim/clock
    {{"to": "2026-12-24T08:00:00Z", "advance_days": 1, "advance_s": 0,
     "frozen": true, "wait": true}}

Every field may be left out. What is due on the way is done in its order, at its own time. With
`wait` the answer comes when all webhooks that became due have been tried. `GET` shows it.

### Webhooks

They go to CALLBACK{path}, signed with every secret that is valid, and again after
{backoff} by the account's clock when the answer is not 2xx. `t` is of the account's clock;
`"signatures": "wall"` takes this machine's time instead. Of the faults above `callbacks` is for
them, too: `delay_ms` counts by the account's clock and goes up to three days, and with `shuffle`
each one is late by a chance of its own up to that. One that is lost counts as not delivered.
Events stay in the list for 30 days.

### Keys and faults

Answers are kept under their Idempotency-Key for {kept} hours of the account's clock, errors too,
and come back with `Idempotent-Replayed: true`. A call with unknown or missing parameters leaves its
key free. Faults with a status of {stored} are kept as answers of a call that had begun, and nothing
is done; every other one comes before the keys. `latency_ms` passes while the key is in use, so that
a second call with it gets 409.

### Control

| address | body | what |
| --- | --- | --- |
{controls}

`GET /_sim/stripe/sums?customer=…` sums cents by customer and kind, and lists each charge with its
period, from the ledger's lines alone. A failed renewal is tried again {days} days after the first
try, unless `retry_days` says otherwise; then `dunning_end` happens.

`GET /_sim/stripe/webhooks` counts the events since the start of this process, how many of them were
`lost`, sent `twice` or a second or more `late`, and the requests that were `sent` and `taken`.

For each call that changes something a line of the ledger has `{{"what": "POST customers", "id",
"status"}}` as its text, and the customer in `to`. There is one more for each `charge`,
`charge_failed`, `refund`, `refund_failed`, `dispute` and `dispute_won`, with `amount`, `currency`,
`at` (the time by the customer's clock) and, for charges, `subscription`, `from` and `until`.
"""

_CONTROLS = (
    (
        "settings",
        (
            "`dunning_end` (`cancel`, `unpaid`, `past_due`), `retry_days`, `api_version` of new"
            " events, `secrets`, `types` that the endpoint wants (null: all), `signatures`"
            " (`clock`, `wall`)"
        ),
        "what the dashboard would set; `GET` shows it",
    ),
    (
        "pages",
        "`session`, `card`",
        "somebody enters a card into a page; the portal makes it the default, Checkout does not",
    ),
    ("confirmations", "`invoice`", "a customer does what a payment asks for"),
    (
        "cards",
        "`payment_method`, `becomes`, `exp_month`, `exp_year`",
        "a card turns into another kind, or its issuer renews it",
    ),
    (
        "disputes",
        "`charge` or `customer`, `reason`; or `dispute`, `won`",
        "a charge is disputed; the bank decides",
    ),
    ("warnings", "`charge` or `customer`", "an early fraud warning"),
    (
        "events",
        "`resend`; or `thin`, `about`, `kind`",
        "an event is delivered again; a thin one is made",
    ),
    ("settled", "", "answers when no webhook is under way"),
)


def section() -> str:
    """The whole part."""
    return _SECTION.format(
        version=API_VERSION,
        price=PRICE,
        amount=AMOUNT,
        cards="\n".join(_row(card) for card in cards.TABLE),
        declines=", ".join(f"`{code}`" for code in cards.DECLINES),
        hard=", ".join(f"`{code}`" for code in sorted(cards.HARD)),
        path=webhooks.PATH,
        backoff=", ".join(_time(seconds) for seconds in webhooks.BACKOFF_S),
        kept=idempotency.KEPT_S // 3600,
        stored=", ".join(map(str, sorted(STORED))),
        controls="\n".join(
            f"| `POST /_sim/stripe/{name}` | {body} | {what} |" for name, body, what in _CONTROLS
        ),
        days=", ".join(map(str, SETTINGS["retry_days"])),
    )


def _row(card: cards.Card) -> str:
    cells = (f"`{card.name}`", card.last4, card.what, card.code or "", card.decline or "")
    return f"| {' | '.join(cells)} |"


def _time(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"  # noqa: PLR2004
