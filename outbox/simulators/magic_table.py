"""The table of magic outcomes: what each does, with its area codes and the start of its tokens."""

from __future__ import annotations

from typing import Final

from outbox.simulators.outcomes import ARRIVED, SENT, Outcome


def _undelivered(code: int, area: str, what: str) -> Outcome:
    return Outcome(
        name=f"undelivered_{code}",
        what=f"undelivered ({code}): {what}",
        areas=(area,),
        told=(SENT, ("undelivered", code)),
    )


DELIVERED = Outcome(
    name="delivered",
    what="delivered; the app acknowledges a push",
    areas=(
        *("801", "802", "803", "804", "805", "806", "808", "810", "812", "813", "814"),
        *("815", "816", "817", "818", "820", "821", "826", "828", "830", "831", "832"),
        *("835", "838", "839", "840", "843", "845", "847", "848", "850", "854"),
    ),
    prefix="sim-ok-",
)

TABLE: Final[tuple[Outcome, ...]] = (
    DELIVERED,
    # What the carrier says later: the area code is the end of the error code, where there is one.
    Outcome(
        name="failed_30001",
        what="failed (30001) without ever being sent: the queue overflowed",
        areas=("301",),
        told=(("failed", 30001),),
    ),
    _undelivered(30003, "303", "the handset cannot be reached"),
    _undelivered(30005, "305", "unknown handset"),
    _undelivered(30006, "360", "a landline, or a carrier that cannot be reached"),
    _undelivered(30007, "307", "filtered by the carrier"),
    _undelivered(30008, "308", "unknown error"),
    Outcome(
        name="undelivered_30034",
        what="undelivered (30034) from the first sender: no campaign; delivered from others",
        areas=("304",),
        told=(SENT, ("undelivered", 30034)),
        first_sender=True,
    ),
    # How it is told.
    Outcome(name="no_receipt", what="accepted, and nothing is ever told", areas=("701",), told=()),
    Outcome(name="sent_only", what="sent is the last word for ever", areas=("702",), told=(SENT,)),
    Outcome(
        name="drop",
        what="accepted, but the connection closes without an answer",
        areas=("703",),
        prefix="sim-drop-",
        drop=True,
    ),
    Outcome(
        name="slow",
        what="accepted, but the answer takes 15 s",
        areas=("704",),
        prefix="sim-slow-",
        slow=True,
    ),
    Outcome(name="early", what="the receipts come before the answer", areas=("706",), early=True),
    Outcome(
        name="shuffled",
        what="the receipts come twice and in reverse",
        areas=("707",),
        shuffled=True,
    ),
    Outcome(
        name="contradicted",
        what="undelivered (30008), and later delivered after all",
        areas=("708",),
        told=(SENT, ("undelivered", 30008), ARRIVED),
    ),
    # Refused by Twilio.
    Outcome(
        name="flaky",
        what="the first two calls get 503, then it is delivered",
        areas=("712",),
        status=503,
        code=20503,
        refuse_first=2,
    ),
    Outcome(name="invalid", what="400: no valid number", areas=("217",), status=400, code=21211),
    Outcome(name="opted_out", what="400: opted out", areas=("610",), status=400, code=21610),
    Outcome(name="landline", what="400: no mobile number", areas=("614",), status=400, code=21614),
    Outcome(name="region", what="400: country not enabled", areas=("408",), status=400, code=21408),
    Outcome(
        name="unroutable",
        what="400 (21612) from the first sender: no route; delivered from others",
        areas=("612",),
        status=400,
        code=21612,
        first_sender=True,
    ),
    Outcome(
        name="credentials",
        what="401, as if the credentials were wrong",
        areas=("203",),
        status=401,
        code=20003,
    ),
    Outcome(
        name="throttled",
        what="429 with Retry-After: 2",
        areas=("409",),
        status=429,
        code=20429,
        retry_after=2,
    ),
    Outcome(name="broken", what="500", areas=("505",), status=500, code=20500),
    Outcome(name="unavailable", what="503", areas=("503",), status=503, code=20503),
    # Pushes.
    Outcome(
        name="malformed",
        what="400: no token at all",
        prefix="sim-malformed-",
        status=400,
        code="INVALID_ARGUMENT",
    ),
    Outcome(
        name="silent",
        what="accepted; the app never acknowledges",
        prefix="sim-silent-",
        acknowledged=(),
    ),
    Outcome(
        name="opened",
        what="accepted; the app tells received, then opened",
        prefix="sim-opened-",
        acknowledged=("received", "opened"),
    ),
    Outcome(
        name="unregistered",
        what="404: the app is gone",
        prefix="sim-unregistered-",
        status=404,
        code="UNREGISTERED",
    ),
    Outcome(
        name="mismatch",
        what="403: another project's token",
        prefix="sim-mismatch-",
        status=403,
        code="SENDER_ID_MISMATCH",
    ),
    Outcome(
        name="quota",
        what="429 with Retry-After: 2",
        prefix="sim-quota-",
        status=429,
        code="QUOTA_EXCEEDED",
        retry_after=2,
    ),
    Outcome(
        name="unavailable",
        what="503",
        prefix="sim-unavailable-",
        status=503,
        code="UNAVAILABLE",
    ),
    Outcome(name="internal", what="500", prefix="sim-internal-", status=500, code="INTERNAL"),
    Outcome(
        name="apns",
        what="401: Apple refuses the project's key",
        prefix="sim-apns-",
        status=401,
        code="THIRD_PARTY_AUTH_ERROR",
    ),
    Outcome(
        name="wrongproject",
        what="404 without FCM's detail",
        prefix="sim-wrongproject-",
        status=404,
    ),
    Outcome(
        name="flaky",
        what="the first two calls get 503, then it is delivered",
        prefix="sim-flaky-",
        status=503,
        code="UNAVAILABLE",
        refuse_first=2,
    ),
)

TESTING: Final = {
    "+15005550001": "invalid",
    "+15005550002": "unroutable",
    "+15005550003": "region",
    "+15005550004": "opted_out",
    "+15005550009": "landline",
}
"""Numbers that Twilio's own test credentials refuse, and for what."""
