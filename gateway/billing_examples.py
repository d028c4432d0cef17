"""Examples of billing for the API description; tests post them, so that they cannot go stale."""

from __future__ import annotations

from typing import Any, Final

ACCOUNT_OPENED: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "evt-5",
    "source": "pruuf-backend",
    "type": "billing.account_opened",
    "time": "2026-11-23T09:00:00Z",
    "subject": "c_1",
    "data": {"account": {"id": "c_1", "email": "bob@example.com", "role": "contact"}},
}
SUBSCRIPTION_CANCELLED: Final[dict[str, Any]] = {
    **ACCOUNT_OPENED,
    "id": "evt-6",
    "type": "billing.subscription_cancelled",
    "data": {"account": {"id": "c_1"}, "when": "period_end"},
}
SUBSCRIPTION_RESUMED: Final[dict[str, Any]] = {
    **SUBSCRIPTION_CANCELLED,
    "id": "evt-7",
    "type": "billing.subscription_resumed",
}
ROLE_CHANGED: Final[dict[str, Any]] = {
    **ACCOUNT_OPENED,
    "id": "evt-8",
    "type": "billing.role_changed",
    "data": {
        "account": {"id": "c_1", "role": "member"},
        "decided_by": "support: ann",
        "reason": "checks in now",
    },
}
METHOD_ADDED: Final[dict[str, Any]] = {
    **ACCOUNT_OPENED,
    "id": "evt-9",
    "type": "billing.payment_method_added",
    "data": {"account": {"id": "c_1"}, "payment_method": "pm_1PruufExample"},
}
METHOD_REMOVED: Final[dict[str, Any]] = {
    **METHOD_ADDED,
    "id": "evt-10",
    "type": "billing.payment_method_removed",
}
EVENTS: Final = {
    "an account": ACCOUNT_OPENED,
    "a cancellation": SUBSCRIPTION_CANCELLED,
    "going on": SUBSCRIPTION_RESUMED,
    "another role": ROLE_CHANGED,
    "a card": METHOD_ADDED,
    "a card less": METHOD_REMOVED,
}
STRIPE_EVENT: Final[dict[str, Any]] = {
    "id": "evt_1PruufExample",
    "object": "event",
    "api_version": "2026-10-28.endive",
    "created": 1795510000,
    "type": "customer.subscription.created",
    "data": {"object": {"id": "sub_1PruufExample", "object": "subscription", "status": "trialing"}},
}
ACCOUNT: Final[dict[str, Any]] = {
    "id": "c_1",
    "role": "contact",
    "entitlement": "trialing",
    "reason": "trial",
    "until": "2026-12-23T09:00:00Z",
    "subscription": {
        "id": "sub_1PruufExample",
        "status": "trialing",
        "trial_end": "2026-12-23T09:00:00Z",
        "current_period_end": "2026-12-23T09:00:00Z",
        "cancel_at_period_end": False,
    },
    "grandfathered": None,
    "pending": 0,
    "payment_methods": [],
    "invoices": [],
    "history": [
        {
            "at": "2026-11-23T09:00:00Z",
            "type": "billing.account_opened",
            "by": "pruuf-backend",
            "why": "billing.account_opened evt-5",
            "result": "recorded",
        },
    ],
}
CARD_LINK: Final[dict[str, Any]] = {"return_url": "https://app.example.com/billing"}

FAILED_CALLBACK: Final[dict[str, Any]] = {
    "id": "0193576a-8a43-7b62-9f4c-7a3d5e8f0b1c",
    "provider": "stripe",
    "received_at": "2026-11-23T09:00:00.420000Z",
    "tried_at": "2026-11-23T09:00:00.520000Z",
    "tries": 1,
    "error": "cannot be applied: NumericValueOutOfRange",
}
CALLBACK: Final[dict[str, Any]] = {
    **FAILED_CALLBACK,
    "said": "evt_1PruufExample",
    "state": "failed",
    "body": {
        "id": "evt_1PruufExample",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1795424400,
        "type": "customer.updated",
        "data": {
            "object": {
                "id": "cus_PruufExample",
                "object": "customer",
                "email": "•••",
                "name": "•••",
                "address": "•••",
                "metadata": {"pruuf_account": "c_1"},
            },
        },
    },
    "redrives": [],
}
