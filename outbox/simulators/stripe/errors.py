"""Stripe's errors in its own shape."""

from __future__ import annotations

from typing import Any

_DOC = "https://stripe.com/docs/error-codes/"
_LOG = "https://dashboard.stripe.com/acct_simulated/logs/"


class Refusal(Exception):  # noqa: N818 - a refusal is no fault of the simulator
    """A request that gets an error; what it had done before stays done."""

    def __init__(  # noqa: PLR0913 - the fields of Stripe's error
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        decline_code: str | None = None,
        more: dict[str, Any] | None = None,
    ) -> None:
        """``more``: fields that only some errors have, such as ``payment_intent``."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after: int | None = None
        self._fields: dict[str, Any] = {"type": kind, "message": message}
        if code is not None:
            self._fields |= {"code": code, "doc_url": _DOC + code.replace("_", "-")}
        if decline_code is not None:
            self._fields["decline_code"] = decline_code
        if param is not None:
            self._fields["param"] = param
        self._fields |= more or {}

    def fields(self) -> dict[str, Any]:
        """As it is shown within an object."""
        return dict(self._fields)

    def body(self, request: str) -> dict[str, Any]:
        """The whole answer."""
        return {"error": {**self._fields, "request_log_url": _LOG + request}}


def missing(what: str, name: str, *, param: str = "id", status: int = 404) -> Refusal:
    """There is no such object; within other parameters that is a 400."""
    return Refusal(
        f"No such {what}: '{name}'",
        status=status,
        code="resource_missing",
        param=param,
    )


def required(param: str) -> Refusal:
    """A parameter that must be there is not."""
    return Refusal(
        f"Missing required param: {param}.",
        code="parameter_missing",
        param=param,
    )


def invalid(param: str, message: str, code: str | None = None) -> Refusal:
    """A parameter that means nothing."""
    return Refusal(message, code=code, param=param)


_OUTAGES = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", None),
    402: ("card_error", "card_declined"),
    403: ("invalid_request_error", None),
    404: ("invalid_request_error", "resource_missing"),
    409: ("idempotency_error", "idempotency_key_in_use"),
    429: ("invalid_request_error", "rate_limit"),
}


def outage(status: int, code: str | None, retry_after: int | None) -> Refusal:
    """The error of a fault that was switched on; ``code`` in place of the usual one."""
    kind, usual = _OUTAGES.get(status, ("api_error", None))
    refusal = Refusal("Simulated fault", status=status, kind=kind, code=code or usual)
    refusal.retry_after = retry_after
    return refusal
