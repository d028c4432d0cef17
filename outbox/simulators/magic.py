"""Magic numbers and tokens: the address chooses what becomes of a message.

A number is magic when it is ``+1 999 CCC nnnn``: CCC names the outcome, nnnn is free, so that
many recipients can share one outcome. A token is magic by its prefix. All others are delivered.
"""

from __future__ import annotations

from dataclasses import dataclass

_AREA = "+1999"
_CODE_DIGITS = 3


@dataclass(frozen=True)
class Outcome:
    """What the simulated provider does with one message."""

    name: str
    what: str
    """For the reference page."""
    status: int = 201
    """HTTP status of the create or send call."""
    code: int | str | None = None
    """Error code of that call."""
    final: str | None = "delivered"
    """Last status that a callback tells; null when none ever comes."""
    final_code: int | None = None
    sent: bool = True
    """Whether a callback tells ``sent``."""
    drop: bool = False
    """Accept, then close the connection without an answer."""
    slow_s: float = 0.0
    early: bool = False
    """Callbacks go out before the answer."""
    shuffled: bool = False
    """Callbacks come twice and in reverse."""
    then_delivered: bool = False
    """A late ``delivered`` contradicts the failure."""
    retry_after: int | None = None
    refuse_first: int = 0
    """The first calls to this address are refused with ``status``, later ones are accepted."""
    acknowledge: bool = True
    """FCM: the app acknowledges by itself."""


def _undelivered(code: int, what: str) -> Outcome:
    name = f"undelivered_{code}"
    return Outcome(name, what, final="undelivered", final_code=code)


NUMBERS: dict[int, Outcome] = {
    1: Outcome("failed_30001", "queue overflow", final="failed", final_code=30001, sent=False),
    3: _undelivered(30003, "the handset cannot be reached"),
    5: _undelivered(30005, "unknown handset"),
    6: _undelivered(30006, "landline, or a carrier that cannot be reached"),
    7: _undelivered(30007, "filtered by the carrier"),
    8: _undelivered(30008, "unknown error"),
    100: Outcome("no_receipt", "accepted, and nothing is ever told", final=None, sent=False),
    101: Outcome("sent_only", "sent is the last word for ever", final=None),
    102: Outcome("drop", "accepted, but the answer is dropped", drop=True),
    103: Outcome("slow", "accepted, but the answer takes 15 s", slow_s=15.0),
    104: Outcome("early", "the receipts come before the answer", early=True),
    105: Outcome("shuffled", "the receipts come twice and in reverse", shuffled=True),
    106: Outcome(
        "contradicted",
        "undelivered (30008), and later delivered after all",
        final="undelivered",
        final_code=30008,
        then_delivered=True,
    ),
    107: Outcome(
        "flaky",
        "refused twice with 429, then accepted",
        status=429,
        code=20429,
        retry_after=1,
        refuse_first=2,
    ),
    211: Outcome("invalid", "refused: no valid number", status=400, code=21211),
    401: Outcome("credentials", "refused as if the credentials were wrong", status=401, code=20003),
    408: Outcome("region", "refused: the country is not enabled", status=400, code=21408),
    429: Outcome("throttled", "always 429", status=429, code=20429, retry_after=2),
    500: Outcome("broken", "always 500", status=500, code=20500),
    503: Outcome("unavailable", "always 503", status=503, code=20503),
    610: Outcome("opted_out", "refused: the recipient opted out", status=400, code=21610),
    614: Outcome("landline", "refused: no mobile number", status=400, code=21614),
}

TOKENS: dict[str, Outcome] = {
    "sim-silent-": Outcome("silent", "accepted; the app never acknowledges", acknowledge=False),
    "sim-unregistered-": Outcome("unregistered", "the app is gone", status=404, code="UNREGISTERED"),
    "sim-mismatch-": Outcome(
        "mismatch",
        "the token is another project's",
        status=403,
        code="SENDER_ID_MISMATCH",
    ),
    "sim-quota-": Outcome(
        "quota",
        "always 429",
        status=429,
        code="QUOTA_EXCEEDED",
        retry_after=2,
    ),
    "sim-unavailable-": Outcome("unavailable", "always 503", status=503, code="UNAVAILABLE"),
    "sim-internal-": Outcome("internal", "always 500", status=500, code="INTERNAL"),
    "sim-apns-": Outcome("apns", "the APNs key is refused", status=401, code="THIRD_PARTY_AUTH_ERROR"),
    "sim-wrongproject-": Outcome("wrongproject", "404 without FCM's detail", status=404),
    "sim-drop-": Outcome("drop", "accepted, but the answer is dropped", drop=True),
    "sim-slow-": Outcome("slow", "accepted, but the answer takes 15 s", slow_s=15.0),
}

DELIVERED = Outcome("delivered", "delivered; the app acknowledges a push")

_CODE_OF = {outcome.name: code for code, outcome in NUMBERS.items()}
_PREFIX_OF = {outcome.name: prefix for prefix, outcome in TOKENS.items()}


def of_number(number: str) -> Outcome:
    """Outcome of a text to this number."""
    if number.startswith(_AREA) and number[len(_AREA) :][:_CODE_DIGITS].isdigit():
        return NUMBERS.get(int(number[len(_AREA) :][:_CODE_DIGITS]), DELIVERED)
    return DELIVERED


def of_token(token: str) -> Outcome:
    """Outcome of a push to this token."""
    for prefix, outcome in TOKENS.items():
        if token.startswith(prefix):
            return outcome
    return DELIVERED


def number(outcome: str, n: int) -> str:
    """The n-th number (0..9999; any number for ``delivered``) of an outcome; KeyError if none."""
    if outcome == DELIVERED.name:
        return f"+1998{n:07d}"
    return f"{_AREA}{_CODE_OF[outcome]:03d}{n:04d}"


def token(outcome: str, n: int) -> str:
    """The n-th token of an outcome; KeyError if there is none."""
    prefix = "sim-ok-" if outcome == DELIVERED.name else _PREFIX_OF[outcome]
    return f"{prefix}{n:08d}"
