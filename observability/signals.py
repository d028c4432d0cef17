"""What spans and wide events there are and what they say: the reference page is made of this.

A test compares the names with those in the code, and the attributes with OpenTelemetry's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SPANS: Sequence[tuple[str, str, str, str]] = (
    (
        "METHOD /route",
        "server",
        "one request; not those for health and metrics",
        "the caller's span; a webhook of a provider begins a trace",
    ),
    (
        "COMMIT intake",
        "client",
        "one transaction for all requests that came together; also inbox, codes, checks",
        "a trace of its own, linked with each request, both ways",
    ),
    (
        "receive safety",
        "client",
        "one round of claims; also receive others",
        "a trace of its own, linked with each claim, both ways",
    ),
    (
        "process safety",
        "consumer",
        "a claim until its settle is committed; also codes, transactional, bulk",
        "the request that posted the event; after ten minutes a trace of its own with a link to it",
    ),
    ("sms.send", "internal", "one call, named like its wide event", "the claim, or the request"),
    ("POST", "client", "its HTTP request, by the method", "the call"),
    (
        "settle safety",
        "client",
        "one transaction that settles claims; also settle others",
        "a trace of its own, linked with each claim, both ways",
    ),
    (
        "process inbox",
        "consumer",
        "a callback that is applied",
        "the request that posted the event, as a claim; linked with the webhook that brought it",
    ),
)
"""Example of a name, kind, what it is, and what it is within."""

ATTRIBUTES = {
    "db.operation.batch.size": "requests of a commit, where there is more than one",
    "db.operation.name": "COMMIT",
    "db.query.summary": "as the span's name",
    "db.response.status_code": "SQLSTATE of what failed",
    "db.system.name": "postgresql",
    "error.type": "class of what failed, a status or a provider's code; never a text",
    "http.request.method": "",
    "http.response.status_code": "",
    "http.route": "the route's template",
    "messaging.batch.message_count": "claims of a round or a settle",
    "messaging.destination.name": "a lane, the lanes of a worker, or inbox",
    "messaging.message.id": "the notification; of the inbox, the callback",
    "messaging.operation.name": "receive, process or settle",
    "messaging.operation.type": "the same",
    "messaging.system": "pruuf",
    "pruuf.attempt": "which try of the step",
    "pruuf.code": "a provider's code, or ours",
    "pruuf.event_id": "",
    "pruuf.kind": "of the notification",
    "pruuf.next": "what the row waits for after the settle",
    "pruuf.notification_id": "",
    "pruuf.provider": "",
    "pruuf.provider_id": "the provider's name for the message",
    "pruuf.reason": "why it is final, parked or was not called",
    "pruuf.result": "class of the outcome of a call",
    "pruuf.source": "who sent a callback",
    "pruuf.state": "in which the notification ended",
    "pruuf.status": "what a callback says",
    "pruuf.step": "of the plan, from 0",
    "pruuf.work": "what the claim is to do",
    "server.address": "the host that is called",
    "server.port": "",
    "url.full": "scheme, host and port; the rest is REDACTED",
    "url.path": "the route's template, or REDACTED",
    "url.scheme": "",
}
"""Every attribute; those outside of `pruuf` are OpenTelemetry's semantic conventions."""

WIDE = {
    "sms.send": "a text",
    "sms.find": "what Twilio has for a number, as an outcome is unknown",
    "sms.fetch": "the state of one message, as its receipt is late",
    "sms.list": "a page of Twilio's list, for pruuf reconcile",
    "sms.check": "whether the credentials are taken, for pruuf doctor",
    "push.send": "a push",
    "push.topic": "a device that follows a topic, or no longer",
    "push.token": "an access token of Google",
    "push.check": "whether the service account may send, for pruuf doctor",
    "operator.page": "a page by webhook",
    "operator.page_check": "whether the webhook answers",
    "operator.mail": "a page by mail (SMTP)",
    "operator.mail_check": "whether the mail server lets us in",
    "stripe.…": "a command or a question to Stripe, by its name",
    "deadman.ping": "pruuf watch's sign of life",
    "audit.pass": "a pass of the audit, with its figures",
    "audit.heads": "the newest roots, once an hour: keep them elsewhere",
}
"""Wide events: one for each call to somebody else, and the audit's witness."""

FIELDS = {
    "time, level, logger, event": "always; `event` is the message of an ordinary line",
    "event_id, notification_id": "on every line about a claim, and on calls that name one",
    "trace_id, span_id": "on every line within a span",
    "provider, result, code, provider_id, retry_after_s, latency_ms": "on every call; null: none",
    "urgent, joining, requests, found, status, refused": "on calls that have it",
    "trace": "types and places of an exception and its causes; never their texts",
}


def page() -> Iterator[str]:
    """The reference page's lines."""
    yield "# Traces and logs\n"
    yield "Made from `observability/signals.py` by `python -m observability.pages`; tests compare"
    yield "it with the code. Nowhere is a name, a number, a token, a text or a secret: what is"
    yield "told is chosen field by field, and a test plants all of those and hunts for them in"
    yield "everything that is emitted while everything fails.\n"
    yield "## Traces\n"
    yield "With `OTEL_EXPORTER_OTLP_ENDPOINT` gateways and relays send spans there, over OTLP/HTTP;"
    yield "without it nothing is made. The caller's `traceparent` and `tracestate` are taken on and"
    yield "stored with the event; `trace_id` of `GET /v1/notifications/{id}` and of `pruuf trace`"
    yield "leads from a notification to its trace. `OTEL_TRACES_SAMPLER_ARG` is the share of the"
    yield "traces that begin here that is sampled; a caller's trace is as the caller says. What"
    yield "failed, and what is about a missed check-in, is exported in any case: that is decided"
    yield "when the outermost span of a process ends. A collector that is away or hangs costs"
    yield "spans, counted in `pruuf_trace_spans_total`, and nothing else; at its end a process"
    yield "waits 3 s for what is left. Of the exporter's other variables all but the time-out are"
    yield "read from the environment, as are `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.\n"
    yield from _table(("span", "kind", "what", "within"), ((f"`{n}`", *rest) for n, *rest in SPANS))
    yield ""
    yield from _table(("attribute", "what"), ((f"`{k}`", what) for k, what in ATTRIBUTES.items()))
    yield "\n## Logs\n"
    yield "To stderr: a line each, JSON unless that is a terminal. One wide event for each call to"
    yield "somebody else, on a logger of its own (`pruuf.wide`).\n"
    yield from _table(("wide event", "what"), ((f"`{k}`", what) for k, what in WIDE.items()))
    yield ""
    yield from _table(("field", "where"), ((_code(k), what) for k, what in FIELDS.items()))


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
