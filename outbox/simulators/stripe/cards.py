"""Magic payment methods: what their cards do, as Stripe's own test cards."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Card(Struct, frozen=True, kw_only=True):
    """What a card looks like and what becomes of payments with it."""

    name: str
    what: str
    brand: str = "visa"
    last4: str
    code: str | None = None
    """Error code of its payments; null: they succeed."""
    decline: str | None = None
    attach: bool = True
    """False: it is refused already when it is attached."""
    dispute: str | None = None
    """Reason of the dispute that each payment brings."""
    refund: str = "succeeded"
    action: bool = False
    """Payments need an action of the customer."""
    first: int = 0
    """So many payments succeed before the code applies; 0: from the first one."""
    exp_year: int = 2034


def _declined(name: str, last4: str, decline: str, what: str, *, attach: bool) -> Card:
    return Card(
        name=name,
        what=what,
        last4=last4,
        code="card_declined",
        decline=decline,
        attach=attach,
    )


GOOD = Card(name="pm_card_visa", what="payments succeed", last4="4242")

_AT_ATTACH = "refused when it is attached"

TABLE: Final[tuple[Card, ...]] = (
    GOOD,
    Card(
        name="pm_card_mastercard",
        what="payments succeed",
        brand="mastercard",
        last4="4444",
    ),
    Card(name="pm_card_amex", what="payments succeed", brand="amex", last4="0005"),
    Card(
        name="pm_card_chargeCustomerFail",
        what="attaches; each payment is declined",
        last4="0341",
        code="card_declined",
        decline="generic_decline",
    ),
    _declined("pm_card_chargeDeclined", "0002", "generic_decline", _AT_ATTACH, attach=False),
    _declined(
        "pm_card_chargeDeclinedInsufficientFunds",
        "9995",
        "insufficient_funds",
        _AT_ATTACH,
        attach=False,
    ),
    _declined("pm_card_chargeDeclinedLostCard", "9987", "lost_card", _AT_ATTACH, attach=False),
    _declined("pm_card_chargeDeclinedStolenCard", "9979", "stolen_card", _AT_ATTACH, attach=False),
    _declined("pm_card_chargeDeclinedFraudulent", "0019", "fraudulent", _AT_ATTACH, attach=False),
    _declined(
        "pm_card_chargeDeclinedVelocityLimitExceeded",
        "6975",
        "card_velocity_exceeded",
        _AT_ATTACH,
        attach=False,
    ),
    Card(
        name="pm_card_chargeDeclinedExpiredCard",
        what=_AT_ATTACH,
        last4="0069",
        code="expired_card",
        decline="expired_card",
        attach=False,
    ),
    Card(
        name="pm_card_chargeDeclinedIncorrectCvc",
        what=_AT_ATTACH,
        last4="0127",
        code="incorrect_cvc",
        decline="incorrect_cvc",
        attach=False,
    ),
    Card(
        name="pm_card_chargeDeclinedProcessingError",
        what=_AT_ATTACH,
        last4="0119",
        code="processing_error",
        decline="processing_error",
        attach=False,
    ),
    Card(
        name="pm_card_authenticationRequired",
        what="attaches; each payment needs an action of the customer",
        last4="3184",
        code="card_declined",
        decline="authentication_required",
        action=True,
    ),
    Card(
        name="pm_card_createDispute",
        what="payments succeed, and are disputed as fraudulent",
        last4="0259",
        dispute="fraudulent",
    ),
    Card(
        name="pm_card_createDisputeProductNotReceived",
        what="payments succeed, and are disputed as not received",
        last4="2685",
        dispute="product_not_received",
    ),
    Card(
        name="pm_card_pendingRefund",
        what="payments succeed; refunds are pending at first",
        last4="7726",
        refund="pending",
    ),
    Card(
        name="pm_card_refundFail",
        what="payments succeed; refunds fail later",
        last4="5126",
        refund="failed",
    ),
)

DECLINES: Final = (
    "approve_with_id",
    "call_issuer",
    "card_not_supported",
    "card_velocity_exceeded",
    "currency_not_supported",
    "do_not_honor",
    "duplicate_transaction",
    "expired_card",
    "fraudulent",
    "generic_decline",
    "incorrect_cvc",
    "incorrect_number",
    "incorrect_pin",
    "incorrect_zip",
    "insufficient_funds",
    "invalid_account",
    "invalid_amount",
    "invalid_cvc",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "invalid_number",
    "invalid_pin",
    "issuer_not_available",
    "lost_card",
    "merchant_blacklist",
    "new_account_information_available",
    "no_action_taken",
    "not_permitted",
    "offline_pin_required",
    "online_or_offline_pin_required",
    "pickup_card",
    "pin_try_exceeded",
    "processing_error",
    "reenter_transaction",
    "restricted_card",
    "revocation_of_all_authorizations",
    "revocation_of_authorization",
    "security_violation",
    "service_not_allowed",
    "stolen_card",
    "stop_payment_order",
    "testmode_decline",
    "transaction_not_allowed",
    "try_again_later",
    "withdrawal_count_limit_exceeded",
)
"""``pm_card_sim_CODE`` attaches and each payment with it is declined with this code;
``pm_card_sim_CODE_after_N`` lets N payments succeed before."""

HARD: Final = frozenset(
    {
        "authentication_required",
        "highest_risk_level",
        "incorrect_number",
        "lost_card",
        "pickup_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "transaction_not_allowed",
    },
)
"""After these Stripe charges no more until there is another payment method."""

_CODES = frozenset({"expired_card", "incorrect_cvc", "incorrect_number", "processing_error"})
"""Decline codes that are error codes of their own."""

_PREFIX = "pm_card_sim_"
_BY_NAME = {card.name: card for card in TABLE}


def find(name: str) -> Card | None:
    """A magic payment method by its name; null: it is none."""
    if not name.startswith(_PREFIX):
        return _BY_NAME.get(name)
    decline, _, after = name.removeprefix(_PREFIX).partition("_after_")
    if decline not in DECLINES or (after and not after.isdigit()):
        return None
    return Card(
        name=name,
        what="",
        last4="0341",
        code=decline if decline in _CODES else "card_declined",
        decline=decline,
        first=int(after or 0),
    )
