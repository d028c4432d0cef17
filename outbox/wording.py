"""What people read instead of codes, in the terminal and on the pages alike.

An unknown code is shown as it is, never hidden. Nothing personal is in here.
"""

from __future__ import annotations

from outbox.providers import codes

UNKNOWN = "unknown"

KINDS = {
    "checkin.confirmed": "Check-in confirmed",
    "checkin.missed": "Missed check-in",
    "checkin.all_clear": "All clear",
    "contact.unreachable": "Contact unreachable",
    "member.invited": "Invite",
    "verification.code": "Verification code",
    "operator.page": "Operator page",
    "device.proof": "Silent proof",
    "canary.sms": "Canary by SMS",
    "canary.push": "Canary by push",
    "announcement.published": "Announcement",
    "announcement.topic": "Announcement to a topic",
    "device.topics": "Topic of a device",
    "billing.account_opened": "Account opened",
    "billing.subscription_cancelled": "Subscription cancelled",
    "billing.subscription_resumed": "Subscription resumed",
    "billing.role_changed": "Role changed",
    "billing.payment_method_added": "Payment method added",
    "billing.payment_method_removed": "Payment method removed",
    "billing.card_saved": "Card saved at Stripe",
    "billing.dispute_lost": "Dispute lost",
    "billing.reconciled": "Stripe is brought into line",
    "billing.notice.access_ending": "Access ends soon",
    "billing.notice.disputed": "Payment disputed",
    "billing.notice.payment_failed_bank": "Payment failed: call the bank",
    "billing.notice.payment_failed_card": "Payment failed: another card",
    "billing.notice.payment_failed_confirm": "Payment waits to be confirmed",
    "billing.notice.payment_failed_later": "Payment failed: tried again",
    "billing.notice.refunded": "Payment given back",
    "billing.notice.resumed": "Subscription goes on",
    "billing.notice.trial_ending": "Trial ends soon",
    "billing.look": "Look at Stripe",
}
CHANNELS = {
    "sms": "SMS",
    "push": "push",
    "page": "operator page",
    "topic": "push to a topic",
    "topics": "FCM's topics",
    "stripe": "Stripe",
}
PROVIDERS = {
    "twilio": "Twilio",
    "fcm": "FCM",
    "fcm_topics": "FCM's topics",
    "stripe": "Stripe",
    "operator": "the operator",
    "app": "the app",
}
STATES = {
    "pending": "pending",
    "sending": "sending",
    "awaiting_receipt": "awaiting receipt",
    "parked": "parked",
    "delivered": "delivered",
    "undeliverable": "not reached",
    "suppressed": "opted out",
    "cancelled": "withdrawn",
    "expired": "too late",
}
PROOFS = {
    "carrier": "by the carrier's word",
    "app": "acknowledged by the app",
    "accepted": "by the provider's acceptance",
}
RESULTS = {
    "accepted": "accepted",
    "warning": "accepted with a doubt",
    "retryable": "temporary fault",
    "channel_final": "refused",
    "recipient_suppressed": "opted out",
    "content_final": "text refused",
    "sender_fault": "sender refused",
    "configuration_fault": "our configuration is at fault",
    "outcome_unknown": "outcome unknown",
}
_REASONS = {
    "no_receipt": "no receipt in time",
    "no_number": "no number that can work",
    "no_device": "no device",
    "no_channel": "neither a number nor a device",
    "too_late": "it expired before anybody was reached",
    "outcome_unknown": "the outcome of a call stayed unknown",
    "no_longer_true": "it was no longer so when it was about to be sent",
    "superseded": "a later check-in was known already",
    "cancelled": "it was withdrawn",
    "erased": "the recipient asked to be forgotten",
    "withdrawn": "it was withdrawn after a call had been made",
    "checked_in": "the Member checked in before anything was sent",
    "never_alerted": "nobody had been alerted",
    "quarantined": "our own code failed on it",
    "opted_out": "the recipient opted out",
    "no_sender": "every sender was refused",
    "provider_down": "the provider is down",
    "provider_held": "the provider is held by a person",
    "channel_final": "this channel cannot reach them",
    "recipient_suppressed": "the recipient opted out",
    "content_final": "the text was refused",
    "retryable": "temporary faults for too long",
}
_CODES = {
    "twilio_20003": "credentials refused",
    "twilio_21211": "not a valid number",
    "twilio_21614": "not a mobile number",
    "twilio_30006": "landline or unreachable carrier",
}
"""Better words than the tables', which are meant for who keeps those."""
_FAULTS = {
    "timeout": "no answer in time",
    "connect": "no connection",
    "no_tls": "the server offers no TLS, and a password is not sent in clear",
    "no_auth": "the server takes no login",
}


def kind(name: str) -> str:
    """A kind's name."""
    return KINDS.get(name, name)


def channel(name: str | None) -> str:
    """A channel's name; nothing for none."""
    return CHANNELS.get(name or "", name or "")


def provider(name: str | None) -> str:
    """A provider's name; nothing for none."""
    return PROVIDERS.get(name or "", name or "")


def state(name: str) -> str:
    """A state's name."""
    return STATES.get(name, name)


def reason(stored: str | None) -> str:
    """``twilio_30005`` as ``unknown handset (Twilio 30005)``."""
    if stored is None:
        return UNKNOWN
    if stored in _REASONS:
        return _REASONS[stored]
    source, _, code = stored.partition("_")
    if source not in PROVIDERS or not code:
        return stored
    number = "" if code.islower() else f" {code}"
    return f"{code_words(source, code)} ({PROVIDERS[source]}{number})"


def code_words(source: str | None, code: str) -> str:
    """A provider's code in words."""
    if f"{source}_{code}" in _CODES:
        return _CODES[f"{source}_{code}"]
    known = None
    if source == "twilio":
        known = codes.table("twilio").get(code)
    elif source == "fcm":
        known = codes.table("fcm").get(code)
    if known is not None:
        return known.name
    return _FAULTS.get(code) or _REASONS.get(code) or code.replace("_", " ")


def with_code(source: str | None, code: str) -> str:
    """``unknown handset (30005)``; our own codes stand for themselves."""
    words = code_words(source, code)
    return words if code.islower() or words == code else f"{words} ({code})"


def span(seconds: float | None) -> str:
    """A length of time in two or three digits; a dash for none."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size * 2:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - digits


def age(seconds: float) -> str:
    """How long ago, in whole seconds, minutes, hours or days."""
    whole = max(0, int(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} ago"
    return f"{whole} s ago"
