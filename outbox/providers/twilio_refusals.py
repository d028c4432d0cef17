"""What an error answer of Twilio means, whatever shape it comes in."""

from __future__ import annotations

from msgspec import Struct
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.base.version import Version
from twilio.http.response import Response

from outbox.domain.outcomes import Outcome, Result
from outbox.providers.calls import Call
from outbox.providers.codes import classify_rest, table
from outbox.providers.transport import Answer


class Refusal(Struct, frozen=True):
    """An answer that is no success, classified as one to a send."""

    result: Result
    code: str
    """Twilio's own, or the HTTP status of an answer that has none."""
    detail: str | None
    """Our words for the code; null when it is not listed."""
    retry_after_s: float | None


def refusal(error: TwilioException, answer: Answer | None) -> Refusal:
    """What an error answer means; pages fail with an exception that has not even a code."""
    if answer is None:
        # It was not the answer that the SDK complains of: a fault of ours, to be seen.
        raise error
    if not isinstance(error, TwilioRestException | TwilioServiceException):
        text = answer.body.decode("utf-8", "replace")
        error = Version.exception("GET", "", Response(answer.status, text), "")
    # Where the answer has no code, the SDK puts the status in its place.
    listable = isinstance(error.code, int) and error.code != answer.status
    code = str(error.code) if listable else None
    result, retry_after_s = classify_rest(answer.status, code, answer.headers)
    shown = code or str(answer.status)
    known = table("twilio").get(shown)
    return Refusal(result, shown, known.name if known else None, retry_after_s)


def ended(call: Call, refused: Refusal, *, lost: Result = Result.OUTCOME_UNKNOWN) -> Outcome:
    """Log a refused call; ``lost`` is what it means that the answer proves nothing."""
    return call.ended(
        lost if refused.result is Result.OUTCOME_UNKNOWN else refused.result,
        code=refused.code,
        detail=refused.detail,
        retry_after_s=refused.retry_after_s,
        listed=refused.detail is not None,
    )
