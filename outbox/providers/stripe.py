"""Stripe: its SDK builds the requests and maps the errors, our transport carries them.

What if the response is lost? Every change carries an idempotency key, so that the same request may
be sent again for a day; later what there is has to be asked for, by the ids in its metadata.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import stripe

from outbox.domain.billing_facts import STRIPE, TRIAL_DAYS
from outbox.domain.billing_objects import ACCOUNT, NOTIFICATION, account_of
from outbox.domain.billing_plan import Do
from outbox.domain.billing_requests import REPLAYED, Answered, Link, Request
from outbox.domain.outcomes import Outcome, Result
from outbox.providers.calls import MALFORMED, Call
from outbox.providers.stripe_codes import classify, table
from outbox.providers.stripe_http import Exchange, SdkTransport, exchange
from outbox.providers.transport import TOTAL_TIMEOUT_S, Transport, TransportFault
from outbox.settings import StripeSettings

API_VERSION = "2026-10-28.endive"
"""Pinned: what objects look like does not change with the SDK, nor with the account's default."""

_OK = 200
_SERVER_ERROR = 500
_DEPENDENCY_FAILED = 424
_PAGE = 100

_GIVEN_BACK = {"prorate": True, "invoice_now": True}
"""What is not used becomes the customer's credit."""

_PAYMENTS = ["payments.data.payment.payment_intent"]
"""Of an invoice: why a payment failed stands there only."""

_Params = dict[str, Any]
_Ask = Callable[[_Params, _Params], Awaitable[object]]


class StripeBilling:
    """Carries out billing commands and reads what Stripe has; safe to share within a process."""

    def __init__(
        self,
        settings: StripeSettings,
        transport: Transport,
        *,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        """``total_timeout_s`` for all requests of one call."""
        self._price = settings.price_id
        self._total_timeout_s = total_timeout_s
        client = stripe.StripeClient(
            settings.api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": settings.api_base} if settings.api_base else None,
            max_network_retries=0,
            http_client=SdkTransport(transport),
        )
        # Parameters are put together from data: the SDK's types of them would be in the way.
        self._api: Any = client.v1

    def together(self) -> AbstractContextManager[object]:
        """All calls in here share one deadline: a claim has time for one total time-out."""
        return exchange(self._total_timeout_s)

    async def carry_out(self, request: Request) -> Answered:
        """Make one change; never raises for what Stripe or the network does."""
        ask, params = self._prepared(request)
        options = {"idempotency_key": request.key}
        return await self._call(f"stripe.{request.do}", str(request.do), ask, params, options)

    async def fetch(self, name: str) -> Answered:
        """An object by its id; `LookupError` for an id of a kind that is not read."""
        prefix = name.partition("_")[0]
        service = {
            "sub": self._api.subscriptions,
            "cus": self._api.customers,
            "in": self._api.invoices,
            "pm": self._api.payment_methods,
            "re": self._api.refunds,
            "dp": self._api.disputes,
            "du": self._api.disputes,
            "ch": self._api.charges,
            "py": self._api.charges,
            "pi": self._api.payment_intents,
            "seti": self._api.setup_intents,
            "issfr": self._api.radar.early_fraud_warnings,
        }[prefix]

        async def ask(params: _Params, options: _Params) -> object:
            found: object = await service.retrieve_async(name, params, options)
            return found

        more: _Params = {"expand": _PAYMENTS} if prefix == "in" else {}
        return await self._call("stripe.fetch", "look", ask, more, {})

    async def customer_for(self, account: str) -> Answered:
        """The customer that carries this account's id; no object where there is none.

        By the search, which lags behind by a minute: not for what may have happened just now.
        """
        quoted = account.replace("\\", "\\\\").replace("'", "\\'")
        params = {"query": f"metadata['{ACCOUNT}']:'{quoted}'", "limit": _PAGE}
        found = await self._call(
            "stripe.search_customer", "look", self._api.customers.search_async, params, {}
        )
        rows = (found.object or {}).get("data") or []
        # The search does not tell upper and lower case apart; the oldest is what was made first.
        ours = [each for each in rows if account_of(each) == account]
        return Answered(outcome=found.outcome, object=ours[-1] if ours else None)

    async def subscriptions_of(self, customer: str) -> Answered:
        """All of a customer's subscriptions, newest first, as a list object."""
        params = {"customer": customer, "status": "all", "limit": _PAGE}
        return await self._list("subscriptions", self._api.subscriptions, params)

    async def paid_invoices_of(self, subscription: str) -> Answered:
        """The newest hundred paid invoices of a subscription, as a list object, newest first."""
        params = {"subscription": subscription, "status": "paid", "limit": _PAGE}
        return await self._list("invoices", self._api.invoices, params)

    async def charge_of(self, invoice: str) -> Answered:
        """The payment of an invoice: its intent, amount and refunds; no object without one."""
        params = {"invoice": invoice, "limit": 1, "status": "paid"}
        paid = await self._list("payments", self._api.invoice_payments, params)
        rows = (paid.object or {}).get("data") or []
        intent = (rows[0].get("payment") or {}).get("payment_intent") if rows else None
        if intent is None:
            return Answered(outcome=paid.outcome)
        params = {"payment_intent": intent, "limit": _PAGE}
        back = await self._list("refunds", self._api.refunds, params)
        if back.object is None:
            return back
        amount = rows[0].get("amount_paid")
        found = {"payment_intent": intent, "amount": amount, "refunds": back.object.get("data")}
        return Answered(outcome=back.outcome, object=found)

    async def events_after(self, newest: str | None, page: str | None) -> Answered:
        """A page of events after ``newest``, or, without one, back in time from ``page``."""
        params: _Params = {"limit": _PAGE}
        if newest is not None:
            params["ending_before"] = newest
        elif page is not None:
            params["starting_after"] = page
        return await self._list("events", self._api.events, params)

    async def page_of(self, kind: str, after: str | None, since: datetime | None) -> Answered:
        """A page of all ``customers`` or ``subscriptions``, newest first; ended ones too."""
        params: _Params = {"limit": _PAGE}
        if kind == "subscriptions":
            params |= {"status": "all", "expand": ["data.latest_invoice"]}
        if after is not None:
            params["starting_after"] = after
        if since is not None:
            params["created"] = {"gte": int(since.timestamp())}
        return await self._list(kind, getattr(self._api, kind), params)

    async def card_link(self, customer: str, *, account: str, return_url: str) -> Link | Outcome:
        """A page of Stripe where this customer adds a card; the outcome where there is none."""
        params = {
            "mode": "setup",
            "currency": "usd",
            "customer": customer,
            "client_reference_id": account,
            "metadata": {ACCOUNT: account},
            "setup_intent_data": {"metadata": {ACCOUNT: account}},
            "success_url": return_url,
        }
        ask = self._api.checkout.sessions.create_async
        answered = await self._call("stripe.card_link", "card_link", ask, params, {})
        made = answered.object
        if made is None:
            return answered.outcome
        return Link(url=made["url"], expires_at=datetime.fromtimestamp(made["expires_at"], UTC))

    async def price(self) -> Answered:
        """The price that a Contact pays: whether the key is accepted, too; reads only."""

        async def ask(params: _Params, options: _Params) -> object:
            found: object = await self._api.prices.retrieve_async(self._price, params, options)
            return found

        return await self._call("stripe.fetch", "look", ask, {}, {})

    def _prepared(self, request: Request) -> tuple[_Ask, _Params]:
        """The SDK's method and the parameters, which are the same whenever it is tried again."""
        api, about = self._api, request.object
        mark = {ACCOUNT: request.account, NOTIFICATION: request.notification}
        whom: _Params = {"metadata": mark}
        if request.email is not None:
            whom["email"] = request.email
        back = {"amount": request.amount, "metadata": mark}
        settings = {"invoice_settings": {"default_payment_method": about}}
        # It keeps what ended it: so a lost answer is found.
        end = {**_GIVEN_BACK, "cancellation_details": {"comment": request.notification}}
        begin, change = self._subscription(request, mark), api.subscriptions.update_async
        balances = api.customers.balance_transactions
        method, first, params = {
            Do.CREATE_CUSTOMER: (api.customers.create_async, None, whom),
            Do.START_TRIAL: (api.subscriptions.create_async, None, begin),
            Do.SUBSCRIBE: (api.subscriptions.create_async, None, begin),
            Do.END_NOW: (api.subscriptions.cancel_async, about, end),
            Do.END_UNPAID: (api.subscriptions.cancel_async, about, {}),
            Do.VOID: (api.invoices.void_invoice_async, about, {}),
            Do.END_WITH_PERIOD: (change, about, {"cancel_at_period_end": True}),
            Do.GO_ON: (change, about, {"cancel_at_period_end": False}),
            Do.RESUME: (api.subscriptions.resume_async, about, {}),
            Do.ATTACH: (api.payment_methods.attach_async, about, {"customer": request.customer}),
            Do.DETACH: (api.payment_methods.detach_async, about, {}),
            Do.MAKE_DEFAULT: (api.customers.update_async, request.customer, settings),
            Do.PAY: (api.invoices.pay_async, about, {}),
            Do.REFUND: (api.refunds.create_async, None, {"payment_intent": about, **back}),
            Do.CLEAR_CREDIT: (balances.create_async, request.customer, {"currency": "usd", **back}),
        }[request.do]
        return (method if first is None else partial(method, first)), params

    def _subscription(self, request: Request, mark: Mapping[str, str]) -> _Params:
        params: _Params = {
            "customer": request.customer,
            "items": [{"price": self._price}],
            "metadata": mark,
        }
        if request.do is Do.START_TRIAL:
            params["trial_period_days"] = TRIAL_DAYS
            params["trial_settings"] = {"end_behavior": {"missing_payment_method": "pause"}}
        return params

    async def _list(self, kind: str, service: Any, params: _Params) -> Answered:  # noqa: ANN401 - the SDK's
        return await self._call(f"stripe.list_{kind}", "look", service.list_async, params, {})

    async def _call(
        self,
        event: str,
        detail: str,
        ask: _Ask,
        params: _Params,
        options: _Params,
    ) -> Answered:
        call = Call(STRIPE, event)
        with exchange(self._total_timeout_s) as begun:
            try:
                await ask(params, options)
            except TransportFault as fault:
                row = table().get(("transport", fault.kind))
                unsent = fault.certainly_unsent
                result = Result.RETRYABLE if unsent else Result.OUTCOME_UNKNOWN
                if row is not None and unsent:
                    result = row.result
                return Answered(outcome=call.ended(result, code=fault.kind, detail=detail))
            except stripe.StripeError:
                return _refused(call, begun, detail)
            return _accepted(call, begun, detail)


def _accepted(call: Call, begun: Exchange, detail: str) -> Answered:
    value = begun.json()
    answer = begun.answer
    if answer is None or answer.status != _OK or not isinstance(value, dict):
        unknown = call.ended(Result.OUTCOME_UNKNOWN, code=MALFORMED, detail=detail)
        return Answered(outcome=unknown)
    name = value.get("id")
    outcome = call.ended(
        Result.ACCEPTED,
        provider_id=name if isinstance(name, str) else None,
        detail=detail,
        request_id=answer.headers.get("request-id"),
        replayed=answer.headers.get("idempotent-replayed") == "true",
    )
    return Answered(outcome=outcome, object=value)


def _refused(call: Call, begun: Exchange, detail: str) -> Answered:
    answer, value = begun.answer, begun.json()
    if answer is None:
        # The SDK complains before anything was sent: a fault of ours, to be seen.
        outcome = call.ended(Result.CONFIGURATION_FAULT, code="not_sent", detail=detail)
        return Answered(outcome=outcome)
    error = value.get("error") if isinstance(value, dict) else None
    refusal = classify(answer.status, error if isinstance(error, dict) else {}, answer.headers)
    fault = answer.status >= _SERVER_ERROR or answer.status == _DEPENDENCY_FAILED
    outcome = call.ended(
        refusal.result,
        # Stripe keeps a fault of its own for a key, too: the same key will never work.
        code=REPLAYED if refusal.replayed and fault else refusal.code,
        detail=f"{detail}: {refusal.name}" if refusal.name else detail,
        retry_after_s=refusal.retry_after_s,
        listed=refusal.name is not None,
        status=answer.status,
        request_id=answer.headers.get("request-id"),
        replayed=refusal.replayed,
    )
    return Answered(outcome=outcome)
