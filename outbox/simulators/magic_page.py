"""The reference page of the simulators, made from the table of magic numbers and tokens.

``python -m outbox.simulators.magic_page > runbooks/reference/simulator.md`` writes it anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from outbox.simulators import magic
from outbox.simulators.fcm import PROJECT
from outbox.simulators.opt_outs import START, STOP
from outbox.simulators.outcomes import Outcome
from outbox.simulators.stripe import page as stripe_page
from outbox.simulators.twilio_messages import SENDERS
from outbox.simulators.twilio_refusals import FULL_SENDER

_PAGE = """\
# The simulators

`pruuf simulate` answers on one loopback port as Twilio, as FCM, as Google's token endpoint and as
Stripe; what they accept is in a ledger of their own, which survives a restart and does not ask our
database. `pruuf simulate --print-env` prints the settings that point a gateway at it.

This page is made from `outbox/simulators/magic_table.py` and, for Stripe, from
`outbox/simulators/stripe/cards.py`, and a test compares it with them. Change the tables there, then
write the page anew:

    python -m outbox.simulators.magic_page > runbooks/reference/simulator.md

## Magic numbers

The area code chooses what becomes of a text to `+1 AAA 555 nnnn`, with nnnn from {first} to 9999:
{lines:,} people can share an outcome. Every other number is delivered.

| numbers | outcome | what happens |
| --- | --- | --- |
{numbers}

The numbers of Twilio's own test credentials are refused as there: {testing}.

Senders are `{senders}`; any other well-formed one is taken as well, except `{full}`, whose queue is
always full: 400 (21611).

## Magic tokens

What a token or installation id begins with chooses what becomes of a push; what follows is free.
Every other one is accepted, and acknowledged by the app when the simulator was started with
`--callback` and the push carries a `receipt_token`.

| tokens | outcome | what happens |
| --- | --- | --- |
{tokens}

## Addresses

| address | what |
| --- | --- |
| `POST /2010-04-01/Accounts/…/Messages.json`, `GET` | Twilio: create, list |
| `GET …/Messages/SM….json` | one message |
| `POST …/Messages/SM….json` with `Status=canceled` | cancels a scheduled message |
| `POST /v1/projects/{project}/messages:send` | FCM: to one device, a topic or a condition |
| `POST …/registrations/ID/topicSubscriptions`, `DELETE` | subscribes one device, unsubscribes it |
| `POST /iid/v1:batchAdd`, `POST /iid/v1:batchRemove` | the same for 1,000, as older libraries do |
| `POST /token` | access tokens for a service account |
| `/v1/…`, `/v2/core/events/…` | Stripe, see below |
| `POST /_sim/faults`, `GET`, `DELETE` | puts a fault in force, shows, clears |
| `POST /_sim/credentials`, `GET` | sets which secrets the accounts take, see below |
| `POST /_sim/inbound` | a person texts us: a signed POST to CALLBACK/webhooks/twilio/inbound |
| `POST /_sim/operator` | a pager: pages go into the ledger, once per Idempotency-Key |
| `GET /_sim/ledger` | what was accepted, NDJSON; filters `provider`, `to`, `since` |
| `GET /_sim/topics`, `GET /_sim/stats` | subscriptions; what was accepted and refused, in figures |
| `GET /_sim/health` | whether it lives |

## Faults

One fault per provider is in force, the newest. Every field may be left out.

    POST /_sim/faults
    {{"provider": "twilio", "rate": 0.2, "latency_ms": 300, "status": 503, "retry_after": 5,
     "code": null, "outcome": null, "sender": null,
     "callbacks": {{"lose": 0.1, "duplicate": 0.1, "delay_ms": 2000, "shuffle": true}},
     "lists": {{"lag_ms": 3000, "fail": 0.1}}, "for_s": 120}}

`rate` is the share of calls that `latency_ms`, `status`, `outcome` or `drop` strike. `status`
refuses and accepts nothing, `"drop": true` accepts and closes the connection without an answer; one
of the two.
`code` is Stripe's error code in place of the status's usual one, such as `lock_timeout`.
`outcome` is what becomes of texts that would be delivered, by its name in the table above: a wave
of `undelivered_30007`, say; with `sender`, of that one's texts alone.
`callbacks` has shares of its own, of receipts, acknowledgements, inbound texts and webhooks.
`lists` lets Twilio show a message only so long after its acceptance, and answer some questions
about messages with 503; at Stripe it is for searches, which lag by its clock. Without `provider`
all are struck, without `for_s` it stays until it is cleared.

## Credentials

    POST /_sim/credentials
    {{"twilio_auth_tokens": ["new", "old"], "stripe_api_keys": ["sk_test_new"]}}

The secrets that the accounts take, until the simulators end; the first token signs callbacks, as
Twilio's primary one does. What is left out stays as it is. `POST /_sim/stripe/settings` has
`secrets`, by which webhooks are signed.

## Texts of people

    POST /_sim/inbound
    {{"from": "+12025550100", "to": "{sender}", "body": "STOP"}}

A text that is nothing but {stop} opts the number out: texts to it get 400 (21610), whatever the
sender, until {start}. `"opt_out_type"` (`STOP`, `START` or `HELP`) stands for Twilio's Advanced
Opt-Out, which may know other words; it decides, and is sent along as `OptOutType`.

## The ledger

One line for each accepted request, in order:

    {{"provider": "twilio", "id": "SM…", "to": "+1…", "text": "…", "reference": "…",
     "accepted_at": "2026-11-24T09:00:00.000Z", "answered": true}}

`reference` is the caller's own name for it: the `ref` of Twilio's status callback, a push's
`notification_id`, a page's Idempotency-Key, a call of Stripe's Idempotency-Key, the invoice of a
charge. `answered` is false where the answer was withheld or nobody was there to take it.

{stripe}"""


def page() -> str:
    """The whole page."""
    return _PAGE.format(
        first=magic.FIRST_LINE,
        lines=magic.LINES,
        numbers=_rows(magic.numbers_look),
        tokens=_rows(magic.tokens_look),
        testing=", ".join(f"`{number}` ({name})" for number, name in magic.TESTING.items()),
        full=FULL_SENDER,
        senders="`, `".join(SENDERS),
        sender=SENDERS[0],
        project=PROJECT,
        stripe=stripe_page.section(),
        stop=", ".join(sorted(STOP)),
        start=" or ".join(sorted(START)),
    )


def _rows(look: Callable[[Outcome], str]) -> str:
    shown = ((look(outcome), outcome) for outcome in magic.TABLE)
    return "\n".join(f"| {cell} | `{one.name}` | {one.what} |" for cell, one in shown if cell)


if __name__ == "__main__":
    sys.stdout.write(page())
