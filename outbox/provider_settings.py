"""What each provider's adapter needs of the settings."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from outbox.setting_values import Reader


class TwilioSettings(Struct, frozen=True, kw_only=True):
    """What the SMS adapter needs."""

    account_sid: str
    auth_tokens: tuple[str, ...]
    """Newest first; more than one while rotating."""
    username: str
    """The API key, or the account SID."""
    password: str
    """The API secret, or the newest auth token."""
    senders: tuple[str, ...]
    """In order of preference; the messaging service alone if there is one."""
    api_base: str | None


class FcmSettings(Struct, frozen=True, kw_only=True):
    """What the push adapter needs."""

    credentials: Path
    """A service account's JSON file, seen to be one."""
    api_base: str | None


class StripeSettings(Struct, frozen=True, kw_only=True):
    """What billing needs; there is all of it, or no billing."""

    api_key: str
    webhook_secrets: tuple[str, ...]
    """Newest first; more than one while rotating."""
    price_id: str
    """What a Contact pays each month."""
    api_base: str | None


def read_stripe(reader: Reader) -> StripeSettings | None:
    """The settings of Stripe; null where none is given: billing is off then.

    Some without the others are a mistake, which would show at the first payment only.
    """
    key = reader.text("STRIPE_API_KEY")
    secrets = reader.listed("STRIPE_WEBHOOK_SECRETS", "whsec_new,whsec_old")
    price = reader.text("STRIPE_PRICE_ID")
    api_base = reader.address("STRIPE_API_BASE", "http://127.0.0.1:9900")
    if not key and not secrets and not price:
        return None
    wanted = (
        ("STRIPE_API_KEY", key or "", ("sk_", "rk_"), "a secret or restricted key (sk_…, rk_…)"),
        ("STRIPE_PRICE_ID", price or "", ("price_",), "the price's id, like price_1PruufMonthly"),
        *(
            (
                "STRIPE_WEBHOOK_SECRETS",
                each,
                ("whsec_",),
                "signing secrets like whsec_new,whsec_old",
            )
            for each in secrets or ("",)
        ),
    )
    for name, value, starts, accepted in wanted:
        if not value.startswith(starts):
            reader.fail(name, f"{accepted}; all of Stripe's settings, or none")
    return StripeSettings(
        api_key=key or "",
        webhook_secrets=secrets,
        price_id=price or "",
        api_base=api_base,
    )
